//! Recorded timings: every arm of a space with its raw repeats, to try strategies on without a device.

pub(crate) mod kernel_tuner;
pub(crate) mod look_alike;
pub(crate) mod recorded;

use std::path::PathBuf;
use std::sync::Arc;

use crate::failure::{Failure, Kind};
use crate::tuner::strategy::paired::median;
use crate::tuner::strategy::{ArmFailure, SearchProblem};

/// A problem with the answers.
#[derive(Debug, Clone)]
pub(crate) struct TimingTable {
    /// What was measured, for people: a kernel and a device.
    pub title: String,
    /// The choices.
    pub problem: Arc<SearchProblem>,
    /// By contest, slot and arm.
    pub answers: Vec<Vec<Vec<ArmResult>>>,
    /// How to write each arm's name down.
    pub labels: Vec<String>,
}

/// What was recorded of one arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ArmResult {
    /// Microseconds of each run, in the order of the runs; at least one.
    Times(Vec<f64>),
    /// It did not run.
    Failed(ArmFailure),
}

/// Which statistic of its repeats an arm's true time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Statistic {
    /// The mean: what a server would pay, and what Kernel Tuner reports.
    #[default]
    Mean,
    /// The median: blind to a few runs that something else disturbed.
    Median,
}

impl ArmResult {
    /// The arm's true time, microseconds.
    pub(crate) fn true_us(&self, statistic: Statistic) -> Option<f64> {
        match self {
            ArmResult::Failed(_) => None,
            ArmResult::Times(times) => match statistic {
                Statistic::Mean => Some(times.iter().sum::<f64>() / times.len() as f64),
                Statistic::Median => median(&mut times.clone()),
            },
        }
    }
}

impl TimingTable {
    /// Arms that ran, and arms that did not, over all contests.
    pub(crate) fn size(&self) -> (usize, usize) {
        let failed = |answer: &&ArmResult| matches!(answer, ArmResult::Failed(_));
        let all = self.answers.iter().flatten().map(Vec::len).sum::<usize>();
        let failed = self.answers.iter().flatten().flatten().filter(failed).count();
        (all - failed, failed)
    }

    /// Time of every recorded run together, microseconds.
    pub(crate) fn total_us(&self) -> f64 {
        let times = |answer: &ArmResult| match answer {
            ArmResult::Times(times) => times.iter().sum(),
            ArmResult::Failed(_) => 0.0,
        };
        self.answers.iter().flatten().flatten().map(times).sum()
    }

    /// Time of one run of every arm together, microseconds.
    pub(crate) fn one_run_each_us(&self, statistic: Statistic) -> f64 {
        self.answers.iter().flatten().flatten().filter_map(|answer| answer.true_us(statistic)).sum()
    }

    /// The same table where every arm runs like the default: whatever a strategy adopts, it adopts noise.
    ///
    /// A contest without a default gets its arm of median time as one.
    pub(crate) fn with_identical_arms(&self) -> Self {
        let mut contests = self.problem.contests.clone();
        let mut answers = self.answers.clone();
        for (contest, answers) in contests.iter_mut().zip(&mut answers) {
            let default =
                contest.default.get_or_insert_with(|| answers.iter().map(|slot| median_arm(slot)).collect());
            for (slot, &arm) in answers.iter_mut().zip(default.iter()) {
                let same = slot[arm].clone();
                slot.fill(same);
            }
        }
        Self {
            title: format!("{}, every config made identical", self.title),
            problem: Arc::new(SearchProblem { contests }),
            answers,
            labels: self.labels.clone(),
        }
    }
}

fn median_arm(slot: &[ArmResult]) -> usize {
    let mut order: Vec<(usize, f64)> =
        slot.iter().enumerate().filter_map(|(arm, it)| Some((arm, it.true_us(Statistic::Median)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order.get(order.len() / 2).map_or(0, |it| it.0)
}

/// Why a table is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("cannot write `{path}`: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no table.
    #[error("`{path}`: {message}", path = path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
}

impl Failure for TableError {
    fn kind(&self) -> Kind {
        match self {
            TableError::Write { .. } => Kind::Environment,
            TableError::Read { .. } | TableError::Bad { .. } => Kind::Input,
        }
    }
}
