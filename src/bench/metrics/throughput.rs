//! Tokens and requests over time. Failed requests' tokens count for nothing.

use super::concurrency::Window;
use crate::bench::record::RequestRecord;
use crate::bench::summary::Throughput;

/// Prompt tokens of a request: the server's count, else the plan's.
pub(crate) fn input_tokens(record: &RequestRecord) -> u32 {
    record.answer.input_tokens.or(record.planned_input_tokens).unwrap_or(0)
}

/// Everything that successful requests brought, over the whole run's duration.
pub(crate) fn of_run(records: &[RequestRecord], run: Window) -> Throughput {
    let done = || records.iter().filter(|record| record.is_done());
    let input: u64 = done().map(|record| u64::from(input_tokens(record))).sum();
    let output: u64 = done().map(|record| u64::from(record.answer.output_tokens)).sum();
    rates(run, done().count() as f64, input as f64, output as f64)
}

/// What came within a window: output tokens by their arrival, requests by their end, prompt tokens by the
/// first token that they led to.
pub(crate) fn within(records: &[RequestRecord], window: Window) -> Throughput {
    let (mut requests, mut input, mut output) = (0.0, 0.0, 0.0);
    for record in records.iter().filter(|record| record.is_done()) {
        let answer = &record.answer;
        requests += f64::from(u8::from(window.holds(record.ended_us)));
        if answer.chunk_us.first().is_some_and(|first| window.holds(record.sent_us + first)) {
            input += f64::from(input_tokens(record));
        }
        for (at, tokens) in answer.chunk_us.iter().zip(&answer.chunk_tokens) {
            if window.holds(record.sent_us + at) {
                output += f64::from(*tokens);
            }
        }
    }
    rates(window, requests, input, output)
}

fn rates(window: Window, requests: f64, input: f64, output: f64) -> Throughput {
    let seconds = window.seconds();
    let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    Throughput {
        from_s: window.from_us as f64 / 1e6,
        duration_s: seconds,
        requests: per_second(requests),
        input_tokens: per_second(input),
        output_tokens: per_second(output),
        total_tokens: per_second(input + output),
    }
}

/// Most output tokens within any one second, wherever it begins. SGLang looks at whole seconds from the first
/// send, and counts events: it finds at most as many.
pub(crate) fn peak_output(records: &[RequestRecord]) -> f64 {
    const SECOND_US: u64 = 1_000_000;
    let done = records.iter().filter(|record| record.is_done());
    let mut arrivals: Vec<(u64, f32)> = done
        .flat_map(|record| {
            let answer = &record.answer;
            answer
                .chunk_us
                .iter()
                .zip(&answer.chunk_tokens)
                .map(|(at, tokens)| (record.sent_us + at, *tokens))
        })
        .collect();
    arrivals.sort_unstable_by_key(|(at, _)| *at);
    let (mut held, mut most, mut oldest) = (0.0_f64, 0.0_f64, 0);
    for (at, tokens) in &arrivals {
        held += f64::from(*tokens);
        while arrivals[oldest].0 + SECOND_US <= *at {
            held -= f64::from(arrivals[oldest].1);
            oldest += 1;
        }
        most = most.max(held);
    }
    most
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{answered, failed};
    use super::*;

    #[test]
    fn tokens_of_whole_requests_over_the_run() {
        let records = [
            answered(0, &[100_000, 1_000_000]),
            answered(500_000, &[500_000, 1_500_000]),
            failed(0, 9_000_000),
        ];
        let run = Window { from_us: 0, to_us: 4_000_000 };
        let t = of_run(&records, run);
        // Ten prompt tokens each (the fixture's), two tokens out each.
        assert_eq!((t.requests, t.input_tokens, t.output_tokens, t.total_tokens), (0.5, 5.0, 1.0, 6.0));
        assert_eq!((t.from_s, t.duration_s), (0.0, 4.0));
    }

    #[test]
    fn a_window_counts_what_comes_in_it() {
        let records = [answered(0, &[100_000, 1_000_000]), answered(500_000, &[500_000, 1_500_000])];
        // Ends: 1.0 s and 2.0 s; first tokens: 0.1 s and 1.0 s; tokens: 0.1, 1.0, 1.0, 2.0 s.
        let t = within(&records, Window { from_us: 500_000, to_us: 1_500_000 });
        assert_eq!((t.requests, t.input_tokens, t.output_tokens), (1.0, 10.0, 2.0));
        // The server does not count prompts: the plan does.
        let mut uncounted = records.clone();
        uncounted[1].answer.input_tokens = None;
        assert_eq!(within(&uncounted, Window { from_us: 500_000, to_us: 1_500_000 }), t);
        let all = within(&records, Window { from_us: 0, to_us: 2_000_000 });
        assert_eq!(all, of_run(&records, Window { from_us: 0, to_us: 2_000_000 }));
    }

    proptest! {
        #[test]
        fn two_windows_that_meet_hold_what_the_whole_holds(
            spans in prop::collection::vec((0u64..4_000_000, prop::collection::vec(1u64..3_000_000, 1..6)), 1..20),
            split in 1u64..4_000_000,
        ) {
            let records: Vec<_> = spans
                .into_iter()
                .map(|(sent, mut events)| {
                    events.sort_unstable();
                    answered(sent, &events)
                })
                .collect();
            let all = Window { from_us: 0, to_us: 8_000_000 };
            let count = |window: Window| {
                let t = within(&records, window);
                [t.requests, t.input_tokens, t.output_tokens, t.total_tokens].map(|rate| rate * window.seconds())
            };
            let (early, late) = (count(Window { to_us: split, ..all }), count(Window { from_us: split, ..all }));
            for ((early, late), whole) in early.iter().zip(late).zip(count(all)) {
                prop_assert!((early + late - whole).abs() < 1e-6);
            }
            let run = of_run(&records, all);
            prop_assert!((run.total_tokens - run.input_tokens - run.output_tokens).abs() < 1e-9);
            prop_assert!((run.output_tokens - within(&records, all).output_tokens).abs() < 1e-9);
            prop_assert!(peak_output(&records) <= run.output_tokens * all.seconds() + 1e-6);
        }
    }

    #[test]
    fn the_best_second_can_begin_anywhere() {
        let records = [answered(0, &[600_000, 900_000, 1_100_000, 1_500_000, 1_600_000])];
        assert_eq!(peak_output(&records), 4.0);
        assert_eq!(peak_output(&[]), 0.0);
    }
}
