//! Tables of `sparktune record`: one row a run, every config of a plan's space.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{ArmResult, TimingTable};
use crate::device::Device;
use crate::shape::{KernelConfig, Role};
use crate::tuner::contests::Contests;
use crate::tuner::plan::Plan;
use crate::tuner::strategy::{ArmFailure, Entrant, Round, Timings};
use crate::worker::protocol::GpuReport;

/// The format this version writes and the only one it reads.
pub(crate) const FORMAT: u32 = 2;

/// What stands beside a table's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// SHA-256 of the Parquet file.
    pub sha256: String,
    /// What was measured: model, shape, device, runtime, batch sizes.
    pub plan: Plan,
    /// What it was measured on, as it describes itself.
    pub gpu: GpuReport,
    /// Timed runs of each config in each session.
    pub repeats: u32,
    /// Passes over the whole space.
    pub sessions: u32,
    /// The version of the program that wrote it.
    pub tool: String,
    /// When, RFC 3339 in UTC.
    pub created: String,
}

/// The rows, column by column; all of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rows {
    /// Tokens in the forward pass.
    pub batch_size: Vec<u32>,
    /// `up` or `down`.
    pub role: Vec<String>,
    /// BLOCK_SIZE_M, BLOCK_SIZE_N, BLOCK_SIZE_K, GROUP_SIZE_M, num_warps, num_stages.
    pub config: [Vec<u32>; 6],
    /// The request the run was part of, in the order of measuring: what drifts, drifts along it.
    pub round: Vec<u32>,
    /// `timed`, or why there is no time.
    pub outcome: Vec<String>,
    /// Microseconds; 0 where there is no time.
    pub time_us: Vec<f64>,
}

/// The names of [`Rows::config`]'s columns, as in config files.
pub(crate) const CONFIG_COLUMNS: [&str; 6] =
    ["BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "GROUP_SIZE_M", "num_warps", "num_stages"];

/// The word for a run that has a time.
const TIMED: &str = "timed";

/// The rows of what was measured.
pub(crate) fn rows<'a>(
    contests: &Contests,
    rounds: impl IntoIterator<Item = (&'a Round, &'a Timings)>,
) -> Rows {
    let mut rows = Rows::default();
    for (number, (round, timings)) in rounds.into_iter().enumerate() {
        let mut row = |entrant: u16, outcome: String, time_us: f64| {
            let Entrant::Single { slot, arm } = round.entrants[usize::from(entrant)] else { return };
            let contest = round.contest.index;
            rows.batch_size.push(contests.problem.contests[contest].key);
            rows.role.push(Role::BOTH[slot].name().to_owned());
            for (column, value) in rows.config.iter_mut().zip(values(&contests.config(contest, slot, arm))) {
                column.push(value);
            }
            rows.round.push(number as u32);
            rows.outcome.push(outcome);
            rows.time_us.push(time_us);
        };
        for (&entrant, time) in round.order.iter().zip(&timings.times_us) {
            if let Some(time) = time {
                row(entrant, TIMED.to_owned(), *time);
            }
        }
        for (entrant, failure) in &timings.failures {
            row(*entrant, failure.name().to_owned(), 0.0);
        }
    }
    rows
}

/// The table behind `rows`, for a device that holds what `mask` holds: configs that do not fit are left out.
///
/// The error names the row or the config.
pub(crate) fn table(manifest: &TableManifest, rows: &Rows, mask: &Device) -> Result<TimingTable, String> {
    let plan = &manifest.plan;
    let mut measured: HashMap<(u32, Role, KernelConfig), ArmResult> = HashMap::new();
    for at in 0..rows.time_us.len() {
        let role = Role::BOTH
            .into_iter()
            .find(|role| role.name() == rows.role[at])
            .ok_or_else(|| format!("row {at}: role is `{}`, it is up or down", rows.role[at]))?;
        let [block_size_m, block_size_n, block_size_k, group_size_m, num_warps, num_stages] =
            std::array::from_fn(|column| rows.config[column][at]);
        let config =
            KernelConfig { block_size_m, block_size_n, block_size_k, group_size_m, num_warps, num_stages };
        let time = rows.time_us[at];
        let answer =
            measured.entry((rows.batch_size[at], role, config)).or_insert(ArmResult::Times(Vec::new()));
        match (rows.outcome[at].as_str(), ArmFailure::named(&rows.outcome[at])) {
            (TIMED, _) if !(time.is_finite() && time > 0.0) => {
                return Err(format!(
                    "row {at}: time_us is {time}, a time is a positive number of microseconds"
                ));
            }
            (TIMED, _) => {
                if let ArmResult::Times(times) = answer {
                    times.push(time);
                }
            }
            (_, Some(failure)) => *answer = ArmResult::Failed(failure),
            (other, None) => return Err(format!("row {at}: outcome is `{other}`, which is none")),
        }
    }
    let contests = Contests::new(plan, mask, &Default::default(), &[]);
    let mut missing = Vec::new();
    let mut answers = Vec::new();
    for (contest, data) in contests.problem.contests.iter().enumerate() {
        let mut slots = Vec::new();
        for (slot, arms) in data.slots.iter().enumerate() {
            let answer = |arm: usize| {
                let (config, role) = (contests.config(contest, slot, arm), Role::BOTH[slot]);
                measured.get(&(data.key, role, config)).cloned().unwrap_or_else(|| {
                    missing.push(format!("{role} {config} at batch size {}", data.key));
                    ArmResult::Failed(ArmFailure::CompileFailed)
                })
            };
            slots.push((0..arms.arms.len()).map(answer).collect::<Vec<_>>());
        }
        answers.push(slots);
    }
    if let Some(first) = missing.first() {
        return Err(format!("{} configs of the space have no row, first {first}", missing.len()));
    }
    let masked = if mask.shared_memory_per_block < manifest.gpu.shared_memory_per_block {
        format!(", of what fits a {}", mask.name)
    } else {
        String::new()
    };
    Ok(TimingTable {
        title: format!("{} on {}{masked}", plan.model.name, manifest.gpu.name),
        problem: contests.problem.clone(),
        labels: contests.labels(),
        answers,
    })
}

fn values(config: &KernelConfig) -> [u32; 6] {
    [
        config.block_size_m,
        config.block_size_n,
        config.block_size_k,
        config.group_size_m,
        config.num_warps,
        config.num_stages,
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::artifact::Evidence;
    use crate::runtime::{Runtime, Target};
    use crate::shape::{Dtype, MoeShape, Quantization};
    use crate::tuner::plan::{PlannedDevice, PlannedModel, Policy};
    use crate::tuner::replay::{self, Disturbance, Replay};
    use crate::tuner::strategy::recording::{self, Recording};
    use crate::tuner::table::look_alike;

    /// A space of one batch size as it would be recorded, and the table it was recorded from.
    pub(crate) fn recorded() -> (TableManifest, Rows, TimingTable) {
        let device = Device::find("h200").unwrap();
        let plan = Plan {
            model: PlannedModel { name: "GLM".into(), architecture: None, tp: 4, ep: 1 },
            shape: MoeShape::glm(Quantization::none(Dtype::Fp8W8a8), 0),
            device: PlannedDevice {
                id: device.id.clone(),
                name: device.name.clone(),
                shared_memory_per_block: device.shared_memory_per_block,
            },
            target: Target::of(Runtime::Sglang054),
            batch_sizes: vec![64],
            policy: Policy::RuntimeDefault,
            evidence: Evidence::Measured,
            strategy: None,
            incumbents: Vec::new(),
            image: None,
        };
        let contests = Contests::new(&plan, &device, &Default::default(), &[]);
        let mut source = look_alike::table(&plan, &device, 1);
        source.answers[0][1][7] = ArmResult::Failed(ArmFailure::WrongResult);
        let options = recording::Options { repeats: 3, sessions: 2 };
        let mut recording = Recording::new(Arc::clone(&contests.problem), options, 0);
        let rounds = replay::run(&mut recording, &mut Replay::new(&source, Disturbance::default(), 0));
        let rows = rows(&contests, rounds.iter().map(|(round, timings)| (round, timings)));
        let manifest = TableManifest {
            format: FORMAT,
            sha256: String::new(),
            gpu: GpuReport {
                name: device.name.clone(),
                capability: 90,
                shared_memory_per_block: device.shared_memory_per_block,
                memory_total: None,
                memory_free: None,
                driver: None,
                max_clock_mhz: None,
                other_processes: Vec::new(),
            },
            plan,
            repeats: 3,
            sessions: 2,
            tool: String::new(),
            created: String::new(),
        };
        (manifest, rows, source)
    }

    #[test]
    fn a_recorded_space_comes_back_whole_and_masked() {
        let (manifest, rows, source) = recorded();
        let h200 = Device::find("h200").unwrap();
        let table = table(&manifest, &rows, &h200).unwrap();
        assert_eq!(table.size(), source.size());
        let ArmResult::Times(times) = &table.answers[0][0][0] else { panic!("it ran") };
        assert_eq!(times.len(), 6, "three repeats in two sessions");
        assert_eq!(table.answers[0][1][7], ArmResult::Failed(ArmFailure::WrongResult));
        let masked = super::table(&manifest, &rows, &Device::find("gb10").unwrap()).unwrap();
        assert!(masked.size().0 < table.size().0);
        assert_eq!(masked.title, "GLM on NVIDIA H200, of what fits a NVIDIA GB10");
    }

    #[test]
    fn what_is_wrong_with_rows_is_named() {
        let (manifest, rows, _) = recorded();
        let h200 = Device::find("h200").unwrap();
        let wrong = |change: &dyn Fn(&mut Rows)| {
            let mut rows = rows.clone();
            change(&mut rows);
            table(&manifest, &rows, &h200).unwrap_err()
        };
        let said = wrong(&|rows| rows.time_us[5] = -1.0);
        assert!(said.contains("row 5: time_us is -1"), "{said}");
        let said = wrong(&|rows| rows.time_us[5] = f64::NAN);
        assert!(said.contains("row 5: time_us is NaN"), "{said}");
        let said = wrong(&|rows| rows.role[2] = "sideways".into());
        assert!(said.contains("row 2: role is `sideways`"), "{said}");
        let said = wrong(&|rows| rows.outcome[3] = "lost".into());
        assert!(said.contains("row 3: outcome is `lost`"), "{said}");
        let said = wrong(&|rows| rows.config[0].iter_mut().for_each(|it| *it = 16));
        assert!(said.contains("configs of the space have no row, first up"), "{said}");
    }
}
