//! When each event of an answer leaves. Pure.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::request::Wanted;
use super::scenario::Scenario;

/// What is due beyond this is due then: a scenario may say any number of hours.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// One event with tokens, before it is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenEvent {
    /// When it leaves, from the moment the request got a slot.
    pub(super) at: Duration,
    /// Tokens before it.
    pub(super) from: u32,
    /// Tokens with it.
    pub(super) to: u32,
    /// Steps of the model in it.
    pub(super) steps: u32,
}

/// The events of answer `number`. Absolute, so that being late once makes nothing later late.
///
/// The first step is sent at once, later ones in groups of `coalesce` when the group's last is made, as real
/// servers' stream intervals do.
pub(super) fn token_events<'a>(
    scenario: &'a Scenario,
    wanted: &Wanted,
    number: u64,
) -> impl Iterator<Item = TokenEvent> + Send + use<'a> {
    let slow = if number < u64::from(scenario.slow_first) { scenario.slow_by } else { Duration::ZERO };
    let prefill = scenario.ttft_per_input_token.saturating_mul(wanted.prompt_tokens);
    let first = scenario.ttft.saturating_add(prefill).saturating_add(slow).min(FAR);
    let itl_ns = scenario.itl.min(FAR).as_nanos() as f64;
    let (jitter, coalesce) = (scenario.jitter, scenario.coalesce.max(1));
    let accept: &[u32] = if scenario.accept.is_empty() { &[1] } else { &scenario.accept };
    let mut random = ChaCha8Rng::seed_from_u64(scenario.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (total, mut made, mut step) = (wanted.tokens, 0, 0_u32);
    std::iter::from_fn(move || {
        let (from, begun) = (made, step);
        let group = if step == 0 { 1 } else { coalesce };
        while made < total && step - begun < group {
            made = made.saturating_add(accept[step as usize % accept.len()].max(1)).min(total);
            step += 1;
        }
        let last = step.checked_sub(1).filter(|_| made > from)?;
        let off = if jitter > 0.0 && last > 0 { jitter * (2.0 * random.random::<f64>() - 1.0) } else { 0.0 };
        // Exact to the nanosecond below some hundred days, and saturating above.
        let after = Duration::from_nanos((itl_ns * (f64::from(last) + off).max(0.0)).round() as u64);
        Some(TokenEvent { at: first.saturating_add(after).min(FAR), from, to: made, steps: step - begun })
    })
}

/// The moment `span` after `start`.
pub(super) fn later(start: Instant, span: Duration) -> Instant {
    start + span.min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::request::Dialect;

    fn wanted(tokens: u32) -> Wanted {
        Wanted {
            dialect: Dialect::Chat,
            prompt_tokens: 10,
            tokens,
            finish: "length",
            stream: true,
            final_usage: true,
            running_usage: false,
        }
    }

    #[test]
    fn steps_come_on_time_in_groups_and_bursts() {
        let ms = Duration::from_millis;
        let scenario = Scenario {
            ttft: ms(50),
            ttft_per_input_token: ms(1),
            itl: ms(20),
            accept: vec![1, 2],
            coalesce: 2,
            slow_first: 1,
            slow_by: ms(500),
            ..Default::default()
        };
        let planned = |number| {
            token_events(&scenario, &wanted(7), number)
                .map(|it| (it.at, it.from..it.to, it.steps))
                .collect::<Vec<_>>()
        };
        assert_eq!(planned(1), [(ms(60), 0..1, 1), (ms(100), 1..4, 2), (ms(140), 4..7, 2)]);
        assert_eq!(planned(0)[0].0, ms(560));
        assert_eq!(token_events(&scenario, &wanted(0), 1).count(), 0);
    }

    #[test]
    fn jitter_is_bounded_and_the_same_each_time() {
        let jittery = Scenario { jitter: 0.5, ..Default::default() };
        let planned = [0, 0, 1]
            .map(|number| token_events(&jittery, &wanted(40), number).map(|s| s.at).collect::<Vec<_>>());
        assert_eq!(planned[0], planned[1]);
        assert_ne!(planned[0], planned[2]);
        for (k, at) in planned[0].iter().enumerate() {
            let off = at.as_secs_f64() - (0.05 + 0.02 * k as f64);
            assert!(off.abs() <= 0.01 + 1e-9, "{k}: {off}");
        }
    }

    #[test]
    fn absurd_spans_are_far_off_and_nothing_worse() {
        let absurd = Scenario {
            ttft: Duration::MAX,
            ttft_per_input_token: Duration::MAX,
            itl: Duration::MAX,
            ..Default::default()
        };
        assert!(token_events(&absurd, &wanted(3), 0).all(|event| event.at == FAR));
        assert!(later(Instant::now(), Duration::MAX) > Instant::now());
    }
}
