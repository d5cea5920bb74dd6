//! One plan measured several times.

use super::compare::Run;
use super::results::plan_sha256;

/// Whether runs are repeats: several, all under one plan. A sweep's differ in their load.
pub fn are_repeats(runs: &[Run]) -> bool {
    let plans: Vec<String> = runs.iter().map(|run| plan_sha256(&run.plan)).collect();
    plans.len() > 1 && plans.iter().all(|plan| *plan == plans[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::made_up::{MadeUp, made_up};

    #[test]
    fn equal_plans_are_repeats_whatever_the_runs_are_called() {
        let run = |seed, concurrency| {
            made_up(&MadeUp { seed, concurrency, requests: 5, output_tokens: 3, ..MadeUp::default() })
        };
        assert!(are_repeats(&[run(1, 8), run(2, 8), run(3, 8)]));
        assert!(!are_repeats(&[run(1, 8), run(1, 8), run(3, 16)]));
        assert!(!are_repeats(&[run(1, 8)]) && !are_repeats(&[]), "one run repeats nothing");
    }
}
