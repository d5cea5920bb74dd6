//! What can go wrong on a machine while it measures, laid over a recorded table.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tuner::table::look_alike::normal;

/// How much of each disturbance. All zero is the table as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Disturbance {
    /// Clocks that wander: the largest relative change of all times, 0.1 is ten per cent either way.
    pub drift: f64,
    /// The share of runs that something else on the machine slows down, to 1.5 to 3 times their time.
    pub spikes: f64,
    /// Standard deviation of the logarithm of a factor on every single run.
    pub noise: f64,
}

/// Simulated seconds in which a clock goes down and up once.
const DRIFT_PERIOD_S: f64 = 20.0;

/// A disturbance as one run of a strategy meets it.
#[derive(Debug)]
pub(crate) struct Weather {
    disturbance: Disturbance,
    phase: f64,
    rng: ChaCha8Rng,
}

impl Disturbance {
    pub(super) fn weather(self, rng: &mut ChaCha8Rng) -> Weather {
        let phase = rng.random_range(0.0..std::f64::consts::TAU);
        // Of its own, so that the same seed draws the same repeats with and without a disturbance.
        Weather { disturbance: self, phase, rng: ChaCha8Rng::from_rng(rng) }
    }
}

impl Weather {
    /// The factor on a run that starts `seconds` after the beginning.
    pub(super) fn factor(&mut self, seconds: f64) -> f64 {
        let Disturbance { drift, spikes, noise } = self.disturbance;
        let mut factor = 1.0;
        if drift > 0.0 {
            factor *= 1.0 + drift * (self.phase + seconds / DRIFT_PERIOD_S * std::f64::consts::TAU).sin();
        }
        if spikes > 0.0 && self.rng.random::<f64>() < spikes {
            factor *= self.rng.random_range(1.5..3.0);
        }
        if noise > 0.0 {
            factor *= (noise * normal(self.rng.random(), self.rng.random())).exp();
        }
        factor
    }
}
