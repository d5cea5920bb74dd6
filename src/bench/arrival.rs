//! When conversations are due: drawn whole before a run, from its plan and seed.

pub(crate) mod trace;

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp, Gamma};

use super::plan::Arrival;
use crate::failure::{Failure, Kind};

/// Sets the schedule's random numbers apart from those that choose lengths and words.
const STREAM: u64 = 1;

/// The longest schedule, seconds: ten years. Beyond, a rate was mistyped, and times would overflow.
const LONGEST_S: f64 = 3.2e8;

/// When conversations are due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Schedule {
    /// As soon as there is a slot.
    Closed,
    /// At these times after the run's start, one a conversation, in order.
    Open(Vec<Duration>),
}

/// An arrival that gives no schedule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum BadSchedule {
    /// A figure that is none.
    #[error("arrival: {field} is {value}, and must be a positive number")]
    NotPositive {
        /// Which one.
        field: &'static str,
        /// What was given.
        value: f64,
    },
    /// A trace that ends too early.
    #[error("arrival: the trace holds {times} times, and the plan {conversations} conversations")]
    ShortTrace {
        /// In the trace.
        times: usize,
        /// In the plan.
        conversations: u32,
    },
    /// A trace whose times are none, or not in order.
    #[error("arrival: the trace's time {place} is {value}; times are seconds from 0 up, in order")]
    BadTime {
        /// Which one, from 1.
        place: usize,
        /// What it is.
        value: f64,
    },
    /// A schedule longer than anybody waits.
    #[error(
        "arrival: the last conversation would be due after {seconds:e} seconds; the longest run is {LONGEST_S:e}"
    )]
    TooLong {
        /// When it would be due.
        seconds: f64,
    },
    /// A trace was not read.
    #[error("arrival: the trace's times are missing")]
    NoTrace,
}

impl Failure for BadSchedule {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Draw the schedule of so many conversations. `trace` holds the times of [`Arrival::Trace`], seconds, in order.
pub(crate) fn schedule(
    arrival: &Arrival,
    conversations: u32,
    seed: u64,
    trace: Option<&[f64]>,
) -> Result<Schedule, BadSchedule> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(STREAM);
    let count = conversations as usize;
    let seconds = match arrival {
        Arrival::ClosedLoop => return Ok(Schedule::Closed),
        Arrival::AllAtOnce => vec![0.0; count],
        Arrival::Constant { rate } => {
            let gap = 1.0 / positive("rate", *rate)?;
            (0..count).map(|k| k as f64 * gap).collect()
        }
        Arrival::Poisson { rate } => {
            let gaps = Exp::new(positive("rate", *rate)?)
                .map_err(|_| BadSchedule::NotPositive { field: "rate", value: *rate })?;
            running_sum((0..count).map(|_| gaps.sample(&mut random)))
        }
        Arrival::Gamma { rate, burstiness } => {
            let shape = positive("burstiness", *burstiness)?;
            // Mean 1/rate: scale x shape. vLLM's and SGLang's burstiness is the same shape.
            let gaps = Gamma::new(shape, 1.0 / (positive("rate", *rate)? * shape))
                .map_err(|_| BadSchedule::NotPositive { field: "burstiness", value: *burstiness })?;
            running_sum((0..count).map(|_| gaps.sample(&mut random)))
        }
        Arrival::Ramp { from_rate, to_rate } => {
            ramp(positive("from_rate", *from_rate)?, positive("to_rate", *to_rate)?, count, &mut random)
        }
        Arrival::Trace { scale, .. } => {
            let scale = positive("scale", *scale)?;
            let times = trace.ok_or(BadSchedule::NoTrace)?;
            if times.len() < count {
                return Err(BadSchedule::ShortTrace { times: times.len(), conversations });
            }
            let times = &times[..count];
            in_order(times)?;
            let first = times.first().copied().unwrap_or(0.0);
            times.iter().map(|time| (time - first) * scale).collect()
        }
    };
    // Times are in order.
    if let Some(&seconds) = seconds.last().filter(|last| last.is_nan() || **last > LONGEST_S) {
        return Err(BadSchedule::TooLong { seconds });
    }
    Ok(Schedule::Open(seconds.into_iter().map(Duration::from_secs_f64).collect()))
}

fn positive(field: &'static str, value: f64) -> Result<f64, BadSchedule> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(BadSchedule::NotPositive { field, value }),
    }
}

fn in_order(times: &[f64]) -> Result<(), BadSchedule> {
    let mut before = 0.0;
    for (place, &value) in times.iter().enumerate() {
        if !(value.is_finite() && value >= before) {
            return Err(BadSchedule::BadTime { place: place + 1, value });
        }
        before = value;
    }
    Ok(())
}

/// The first is due at once: a run does not begin with a wait.
fn running_sum(gaps: impl Iterator<Item = f64>) -> Vec<f64> {
    gaps.enumerate()
        .scan(0.0, |sum, (place, gap)| {
            *sum += if place == 0 { 0.0 } else { gap };
            Some(*sum)
        })
        .collect()
}

/// A Poisson process whose rate goes linearly from one value to another. It lasts until as many are expected
/// as are wanted, `2 n / (from + to)`; each gap is drawn at rate 1 and bent back through the expected count.
fn ramp(from: f64, to: f64, count: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let lasts = 2.0 * count as f64 / (from + to);
    let slope = (to - from) / lasts;
    let unit = running_sum((0..count).map(|_| -(1.0 - random.random::<f64>()).ln()));
    unit.into_iter()
        .map(|expected| {
            // Expected count until t: from t + slope t^2 / 2. Beyond the end the last rate goes on.
            let by_end = count as f64;
            if expected >= by_end {
                return lasts + (expected - by_end) / to;
            }
            // The root in the form that a slope near zero leaves exact.
            2.0 * expected / (from + (from * from + 2.0 * slope * expected).max(0.0).sqrt())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrival: Arrival, count: u32) -> Vec<f64> {
        match schedule(&arrival, count, 7, None).unwrap() {
            Schedule::Open(times) => times.iter().map(Duration::as_secs_f64).collect(),
            Schedule::Closed => panic!("no schedule"),
        }
    }

    fn gaps(times: &[f64]) -> (f64, f64) {
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        (mean, variance.sqrt() / mean)
    }

    #[test]
    fn gaps_have_the_mean_and_the_spread_they_should() {
        for (arrival, mean, spread) in [
            (Arrival::Constant { rate: 4.0 }, 0.25, 0.0),
            (Arrival::Poisson { rate: 4.0 }, 0.25, 1.0),
            (Arrival::Gamma { rate: 4.0, burstiness: 0.25 }, 0.25, 2.0),
            (Arrival::Gamma { rate: 4.0, burstiness: 4.0 }, 0.25, 0.5),
        ] {
            let times = times(arrival.clone(), 20_000);
            let (found, cv) = gaps(&times);
            assert!(times.is_sorted() && times[0] == 0.0, "{arrival:?}");
            assert!((found / mean - 1.0).abs() < 0.05, "{arrival:?}: {found}");
            assert!((cv - spread).abs() < 0.06, "{arrival:?}: {cv}");
        }
    }

    #[test]
    fn a_ramp_begins_at_one_rate_and_ends_at_another() {
        let up = times(Arrival::Ramp { from_rate: 2.0, to_rate: 10.0 }, 6_000);
        assert!((up.last().unwrap() / 1000.0 - 1.0).abs() < 0.05, "{:?}", up.last());
        let within =
            |from: f64, to: f64| up.iter().filter(|t| (from..to).contains(t)).count() as f64 / (to - from);
        assert!((within(0.0, 100.0) - 2.4).abs() < 0.4 && (within(850.0, 950.0) - 9.2).abs() < 0.9);
        let flat = times(Arrival::Ramp { from_rate: 3.0, to_rate: 3.0 }, 6_000);
        assert!((gaps(&flat).0 * 3.0 - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_seed_fixes_everything() {
        let draw = |seed| schedule(&Arrival::Poisson { rate: 1.0 }, 50, seed, None);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_trace_starts_at_its_first_time_and_is_scaled() {
        let file = crate::bench::plan::DataFile { name: "t".into(), sha256: String::new() };
        let arrival = Arrival::Trace { file, scale: 0.5 };
        let ms = Duration::from_millis;
        assert_eq!(
            schedule(&arrival, 3, 0, Some(&[10.0, 11.0, 14.0, 20.0])),
            Ok(Schedule::Open(vec![ms(0), ms(500), ms(2000)]))
        );
        let short = schedule(&arrival, 3, 0, Some(&[1.0])).unwrap_err().to_string();
        assert!(short.contains("1 times") && short.contains("3 conversations"), "{short}");
    }

    #[test]
    fn what_is_no_rate_is_named() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = schedule(&Arrival::Poisson { rate: value }, 2, 0, None).unwrap_err().to_string();
            assert!(error.contains("rate") && error.contains("positive"), "{error}");
        }
        assert_eq!(schedule(&Arrival::ClosedLoop, 5, 0, None), Ok(Schedule::Closed));
        let wrong = [
            (Arrival::Gamma { rate: 1.0, burstiness: f64::NAN }, "burstiness"),
            (Arrival::Ramp { from_rate: 0.0, to_rate: 1.0 }, "from_rate"),
            (Arrival::Ramp { from_rate: 1.0, to_rate: -1.0 }, "to_rate"),
            (Arrival::Constant { rate: 1e-300 }, "due after"),
            (Arrival::Poisson { rate: 1e-300 }, "due after"),
            (Arrival::Gamma { rate: 1e-300, burstiness: 1e-3 }, "due after"),
        ];
        for (arrival, word) in wrong {
            let error = schedule(&arrival, 1000, 0, None).unwrap_err().to_string();
            assert!(error.contains(word), "{arrival:?}: {error}");
        }
    }

    #[test]
    fn times_that_are_none_are_named_by_their_place() {
        let file = crate::bench::plan::DataFile { name: "t".into(), sha256: String::new() };
        let arrival = Arrival::Trace { file, scale: 1.0 };
        for times in [[0.0, f64::NAN], [1.0, 0.5], [1.0, f64::INFINITY], [1.0, -3.0]] {
            let error = schedule(&arrival, 2, 0, Some(&times)).unwrap_err().to_string();
            assert!(error.contains("time 2"), "{error}");
        }
        assert_eq!(schedule(&arrival, 2, 0, None), Err(BadSchedule::NoTrace));
    }

    #[test]
    fn a_schedule_begins_alike_whatever_its_length() {
        let draw = |count| match schedule(&Arrival::Poisson { rate: 2.0 }, count, 3, None) {
            Ok(Schedule::Open(times)) => times,
            other => panic!("{other:?}"),
        };
        assert_eq!(draw(10)[..], draw(100)[..10]);
    }
}
