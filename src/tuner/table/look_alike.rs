//! A table nobody measured: the cost model's times, bent and made noisy, for trying strategies on the size
//! and structure of the real problem (18 batch sizes, two roles, one BLOCK_SIZE_M) without a GPU.
//!
//! It says how many runs a strategy spends and whether it finds the best of *such* a landscape. It says
//! nothing of any device.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{ArmResult, TimingTable};
use crate::device::Device;
use crate::kernel::cost::CostModel;
use crate::shape::Role;
use crate::tuner::contests::Contests;
use crate::tuner::plan::Plan;

/// Runs of each config.
const REPEATS: usize = 16;
/// Standard deviation of the logarithm of what a tile takes over what the cost model says: the model is
/// wrong by about as much between real configs.
const TILE_BEND: f64 = 0.25;
/// The same for what changes from batch size to batch size.
const BATCH_BEND: f64 = 0.03;
/// Standard deviation of the logarithm of one run. A replay can add spikes and drift.
const RUN_NOISE: f64 = 0.01;

/// A look-alike of what measuring `plan` on `device` might give; equal seeds are equal tables.
pub(crate) fn table(plan: &Plan, device: &Device, seed: u64) -> TimingTable {
    let contests = Contests::new(plan, device, &Default::default(), &[]);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let answers = contests
        .problem
        .contests
        .iter()
        .enumerate()
        .map(|(contest, data)| {
            let model = CostModel::new(&plan.shape, device, data.key);
            data.slots
                .iter()
                .enumerate()
                .map(|(slot, arms)| {
                    let role = Role::BOTH[slot];
                    (0..arms.arms.len())
                        .map(|arm| {
                            let config = contests.config(contest, slot, arm);
                            let tile_bend = TILE_BEND * normal_of(&(seed, role, config.tile()));
                            let batch_bend = BATCH_BEND * normal_of(&(seed, role, config, data.key));
                            // Defaults outside the space fit, and whatever fits has a cost.
                            let predicted = model.cost(role, &config).map_or(1e3, |cost| cost.time_us);
                            let usual = predicted * (tile_bend + batch_bend).exp();
                            ArmResult::Times((0..REPEATS).map(|_| usual * noise(&mut rng)).collect())
                        })
                        .collect()
                })
                .collect()
        })
        .collect();
    TimingTable {
        title: format!(
            "look-alike of {} on {}, made from the cost model and not measured",
            plan.model.name, device.name
        ),
        problem: contests.problem.clone(),
        labels: contests.labels(),
        answers,
    }
}

fn noise(rng: &mut ChaCha8Rng) -> f64 {
    (RUN_NOISE * normal(rng.random(), rng.random())).exp()
}

/// A normal variate that belongs to `key` for good.
fn normal_of(key: &impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let mut rng = ChaCha8Rng::seed_from_u64(hasher.finish());
    normal(rng.random(), rng.random())
}

/// Box and Muller's standard normal variate of two uniform ones.
pub(in crate::tuner) fn normal(a: f64, b: f64) -> f64 {
    (-2.0 * a.max(f64::MIN_POSITIVE).ln()).sqrt() * (b * std::f64::consts::TAU).cos()
}
