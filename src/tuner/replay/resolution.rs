//! What a table can tell apart.

use crate::tuner::strategy::{Arm, Contest};
use crate::tuner::table::{ArmResult, Statistic, TimingTable};

/// The two-sided 95 % quantile of the normal distribution.
const Z_95: f64 = 1.959_964;

/// The largest regret of a choice that the table itself cannot tell from the best, as a fraction: no strategy can be
/// asked for less. Such a choice differs from the best in one slot, and the 95 % interval of the difference between
/// the mean times of the two arms (Welch's variance, normal quantile) holds zero. None where no arm was
/// run twice.
pub(crate) fn resolution(table: &TimingTable) -> Option<f64> {
    let contests = table.problem.contests.iter().enumerate();
    contests.filter_map(|(index, contest)| of_contest(contest, &table.answers[index])).reduce(f64::max)
}

fn of_contest(contest: &Contest, answers: &[Vec<ArmResult>]) -> Option<f64> {
    let best = contest.best_by(|slot, arm| answers[slot][arm].true_us(Statistic::Mean))?;
    let mean = |slot: usize, arm: usize| Mean::of(&answers[slot][arm]);
    let of_best: Option<Vec<Mean>> = best.iter().enumerate().map(|(slot, &arm)| mean(slot, arm)).collect();
    let of_best = of_best?;
    let whole: f64 = of_best.iter().map(|it| it.us).sum();
    let regret_if_alike = |(slot, index, arm): (usize, usize, &Arm)| {
        if arm.link != contest.arm(slot, best[slot]).link {
            return None;
        }
        let other = mean(slot, index)?;
        let (least, difference) = (&of_best[slot], other.us - of_best[slot].us);
        (difference <= Z_95 * (least.variance + other.variance).sqrt()).then_some(difference / whole)
    };
    contest.arms().filter_map(regret_if_alike).reduce(f64::max)
}

/// The mean of an arm's runs, and how far that mean itself would scatter.
struct Mean {
    us: f64,
    variance: f64,
}

impl Mean {
    fn of(answer: &ArmResult) -> Option<Self> {
        let us = answer.true_us(Statistic::Mean)?;
        let ArmResult::Times(times) = answer else { return None };
        let count = times.len() as f64;
        let squares: f64 = times.iter().map(|time| (time - us).powi(2)).sum();
        (times.len() > 1).then(|| Self { us, variance: squares / (count - 1.0) / count })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tuner::strategy::{SearchProblem, Slot};

    /// One contest of one slot; all arms go together but for the last.
    fn table(times: &[&[f64]]) -> TimingTable {
        let arm = |index: usize| Arm {
            name: index as u32,
            link: u32::from(index + 1 == times.len()),
            family: index as u32,
            place: vec![index as u16],
            prior: None,
        };
        let slot = Slot { arms: (0..times.len()).map(arm).collect() };
        let contest = Contest { key: 1, slots: vec![slot], default: None, incumbents: Vec::new() };
        TimingTable {
            title: String::new(),
            problem: Arc::new(SearchProblem { contests: vec![contest] }),
            answers: vec![vec![times.iter().map(|times| ArmResult::Times(times.to_vec())).collect()]],
            labels: Vec::new(),
        }
    }

    #[test]
    fn what_scatters_more_than_it_differs_is_not_told_apart() {
        // Means 100, 101, 110 with standard errors of 1: a difference of 2.77 is the most that can be chance.
        let around = |mean: f64| [mean - 1.0, mean + 1.0];
        let (best, near, far, other_link) = (around(100.0), around(101.0), around(110.0), around(100.5));
        let table = table(&[&best, &near, &far, &other_link]);
        assert!((resolution(&table).unwrap() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn one_run_tells_nothing_of_its_scatter() {
        assert_eq!(resolution(&table(&[&[100.0], &[101.0], &[100.0]])), None);
    }

    #[test]
    fn steady_times_are_all_told_apart() {
        assert_eq!(resolution(&table(&[&[100.0, 100.0], &[101.0, 101.0], &[102.0, 102.0]])), Some(0.0));
    }
}
