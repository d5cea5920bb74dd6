//! A plan as a problem for a strategy: one contest a batch size, one slot a role.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::plan::{Incumbent, Plan};
use super::ranking::rank;
use super::strategy::{Arm, Choice, Contest, SearchProblem, Slot};
use crate::device::Device;
use crate::kernel::schedule::Grid;
use crate::kernel::shared_memory;
use crate::kernel::space::GROUP_SIZE_M;
use crate::shape::{KernelConfig, Role, Tile};
use crate::worker::protocol::Unit;

/// The problem of a plan, and the configs behind its arms.
#[derive(Debug, Clone)]
pub(crate) struct Contests {
    /// What a strategy sees. Slot 0 is the up projection, slot 1 the down projection.
    pub problem: Arc<SearchProblem>,
    /// By arm name.
    configs: Vec<KernelConfig>,
    /// The runtime's default by contest, as it is written in a file.
    defaults: Vec<KernelConfig>,
}

impl Contests {
    /// Every schedule of the space that fits and compiles, the runtime's default included where it does.
    ///
    /// `rejected` are kernels the compiler made no binary of; `incumbents` are config files in use, up and
    /// down, whose entries deserve a hearing.
    pub(crate) fn new(
        plan: &Plan,
        device: &Device,
        rejected: &HashSet<(Role, Tile)>,
        incumbents: &[Incumbent],
    ) -> Self {
        let mut names = Names::default();
        let limit = device.shared_memory_per_block;
        let mut defaults = Vec::new();
        let contests = plan
            .batch_sizes
            .iter()
            .map(|&key| {
                let default = plan.target.runtime.default_config(&plan.shape, key, limit);
                defaults.push(default);
                let mut slots = Role::BOTH.map(|role| {
                    let ranked = rank(&plan.shape, device, plan.target.runtime, key, role);
                    let runs = |config: &KernelConfig| !rejected.contains(&(role, config.tile()));
                    let arms = ranked.iter().filter(|it| runs(&it.config));
                    let arms = arms.map(|it| names.arm(it.config, Some(it.predicted_us))).collect();
                    Slot { arms }
                });
                let mut choice = |configs: [KernelConfig; 2]| -> Option<Choice> {
                    let [up, down] = &mut slots;
                    let mut enter = |slot: &mut Slot, role: Role, config: KernelConfig| {
                        let fits =
                            shared_memory::required_bytes(&config.tile(), &plan.shape.quantization) <= limit;
                        if !fits || rejected.contains(&(role, config.tile())) {
                            return None;
                        }
                        let config = representative(plan, key, role, config);
                        let name = names.name(config);
                        let at = slot.arms.iter().position(|arm| arm.name == name);
                        Some(at.unwrap_or_else(|| {
                            slot.arms.push(names.arm(config, None));
                            slot.arms.len() - 1
                        }))
                    };
                    Some(vec![enter(up, Role::Up, configs[0])?, enter(down, Role::Down, configs[1])?])
                };
                let incumbents = incumbents
                    .iter()
                    .filter_map(|pair| pair.nearest(key))
                    .filter(|[up, down]| up.block_size_m == down.block_size_m)
                    .filter_map(&mut choice)
                    .collect();
                let default = choice([default, default]);
                Contest { key, slots: slots.into(), default, incumbents }
            })
            .collect();
        Self { problem: Arc::new(SearchProblem { contests }), configs: names.configs, defaults }
    }

    /// The config behind an arm.
    pub(crate) fn config(&self, contest: usize, slot: usize, arm: usize) -> KernelConfig {
        self.configs[self.problem.contests[contest].arm(slot, arm).name as usize]
    }

    /// The configs of a choice, up and down, as they are to be written: the default as the runtime has it,
    /// whatever schedule stands for it.
    pub(crate) fn configs(&self, contest: usize, choice: &[usize]) -> [KernelConfig; 2] {
        if self.problem.contests[contest].default.as_deref() == Some(choice) {
            return [self.defaults[contest]; 2];
        }
        [0, 1].map(|slot| self.config(contest, slot, choice[slot]))
    }

    /// How each arm's config is written, by name.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.configs.iter().map(ToString::to_string).collect()
    }

    /// Every kernel a strategy may ask for.
    pub(crate) fn kernels(&self) -> Vec<(Role, Tile)> {
        let mut seen = HashSet::new();
        let mut kernels = Vec::new();
        for contest in &self.problem.contests {
            for (slot, _, arm) in contest.arms() {
                let kernel = (Role::BOTH[slot], self.configs[arm.name as usize].tile());
                if seen.insert(kernel) {
                    kernels.push(kernel);
                }
            }
        }
        kernels
    }
}

/// The kernels that measuring may launch, by the contests that launch them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaunchedUnits {
    /// Each once.
    pub units: Vec<Unit>,
    /// Indices into `units`, by contest.
    of: Vec<Vec<usize>>,
}

impl LaunchedUnits {
    /// Everything that `contests` of `plan` may launch on `device`.
    pub(crate) fn new(contests: &Contests, plan: &Plan, device: &Device) -> Self {
        let (runtime, capability) = (plan.target.runtime, device.capability());
        let mut launched = Self::default();
        let mut indices = HashMap::new();
        for contest in &contests.problem.contests {
            let mut of = BTreeSet::new();
            for (slot, _, arm) in contest.arms() {
                let (role, tile) = (Role::BOTH[slot], contests.configs[arm.name as usize].tile());
                let large = runtime.has_large_batch_kernel(&plan.shape, role, contest.key, capability);
                let mut index = |large: bool| {
                    *indices.entry((role, tile, large)).or_insert_with(|| {
                        launched.units.push(match large {
                            // One binary for all of them, named for the first.
                            true => Unit::for_batches_of(role, &tile, contest.key),
                            false => Unit::of(role, &tile),
                        });
                        launched.units.len() - 1
                    })
                };
                of.insert(index(false));
                if large {
                    of.insert(index(true));
                }
            }
            launched.of.push(of.into_iter().collect());
        }
        launched
    }

    /// What the contest at this place launches.
    pub(crate) fn of(&self, contest: usize) -> &[usize] {
        &self.of[contest]
    }

    /// Those of them that are built of one of `kernels`.
    pub(crate) fn of_kernels(&self, contest: usize, kernels: &[(Role, Tile)]) -> Vec<usize> {
        let is_of = |at: &usize| {
            let unit = &self.units[*at];
            kernels.contains(&(unit.role, unit.config.tile()))
        };
        self.of[contest].iter().copied().filter(is_of).collect()
    }

    /// Variants of kernels that only large batches launch.
    pub(crate) fn variants(&self) -> Vec<Unit> {
        self.units.iter().filter(|unit| unit.batch_size.is_some()).cloned().collect()
    }
}

/// The config with the smallest GROUP_SIZE_M that gives the same schedule.
fn representative(plan: &Plan, tokens: u32, role: Role, config: KernelConfig) -> KernelConfig {
    let rows = plan.target.runtime.allocated_rows(&plan.shape, tokens, config.block_size_m);
    let grid = Grid::new(rows, plan.shape.gemm(role), &config);
    config.tile().with_group(grid.representative_group(config.group_size_m, &GROUP_SIZE_M))
}

/// Numbers for configs and tiles, the same in every contest.
#[derive(Debug, Default)]
struct Names {
    configs: Vec<KernelConfig>,
    names: HashMap<KernelConfig, u32>,
    families: HashMap<Tile, u32>,
}

impl Names {
    fn name(&mut self, config: KernelConfig) -> u32 {
        *self.names.entry(config).or_insert_with(|| {
            self.configs.push(config);
            (self.configs.len() - 1) as u32
        })
    }

    fn arm(&mut self, config: KernelConfig, prior: Option<f64>) -> Arm {
        let name = self.name(config);
        let next = self.families.len() as u32;
        let family = *self.families.entry(config.tile()).or_insert(next);
        // Powers of two but for the stages: a step doubles or halves.
        let log = |value: u32| value.ilog2() as u16;
        let KernelConfig { block_size_m, block_size_n, block_size_k, group_size_m, num_warps, num_stages } =
            config;
        let place = vec![
            log(block_size_m),
            log(block_size_n),
            log(block_size_k),
            log(group_size_m),
            log(num_warps),
            num_stages as u16,
        ];
        Arm { name, link: block_size_m, family, place, prior }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{ConfigFile, Evidence};
    use crate::runtime::{Runtime, Target};
    use crate::shape::{Dtype, MoeShape, Quantization};
    use crate::tuner::plan::{PlannedDevice, PlannedModel, Policy};

    fn plan_for(dtype: Dtype) -> (Plan, Device) {
        let device = Device::find("gb10").unwrap();
        let plan = Plan {
            model: PlannedModel { name: "GLM".into(), architecture: None, tp: 4, ep: 1 },
            shape: MoeShape::glm(Quantization::none(dtype), 0),
            device: PlannedDevice {
                id: device.id.clone(),
                name: device.name.clone(),
                shared_memory_per_block: device.shared_memory_per_block,
            },
            target: Target::of(Runtime::Sglang054),
            batch_sizes: vec![64, 4096],
            policy: Policy::RuntimeDefault,
            evidence: Evidence::Confirmed,
            strategy: None,
            incumbents: Vec::new(),
            image: None,
        };
        (plan, device)
    }

    #[test]
    fn a_default_takes_part_where_it_fits_and_is_written_as_the_runtime_has_it() {
        let (plan, device) = plan_for(Dtype::Fp8W8a8);
        let contests = Contests::new(&plan, &device, &HashSet::new(), &[]);
        let [small, large] = &contests.problem.contests[..] else { panic!("two batch sizes") };
        let default = small.default.clone().unwrap();
        assert_eq!(contests.configs(0, &default).map(|it| it.to_string()), ["64x128x128 g1 w4 s4"; 2]);
        assert_eq!(large.default, None, "147,456 bytes do not fit");
        // Outside SGLang's space: BLOCK_SIZE_K 32.
        let (plan, device) = plan_for(Dtype::Bfloat16);
        let contests = Contests::new(&plan, &device, &HashSet::new(), &[]);
        let default = contests.problem.contests[1].default.clone().unwrap();
        assert_eq!(contests.configs(1, &default)[0].to_string(), "64x64x32 g8 w4 s3");
    }

    #[test]
    fn kernels_without_a_binary_take_no_part() {
        let (plan, device) = plan_for(Dtype::Fp8W8a8);
        let all = Contests::new(&plan, &device, &HashSet::new(), &[]).kernels();
        assert_eq!(all.len(), 2 * 364);
        let rejected: HashSet<_> = all.iter().take(10).copied().collect();
        let left = Contests::new(&plan, &device, &rejected, &[]).kernels();
        assert_eq!(left.len(), all.len() - 10);
        assert!(left.iter().all(|kernel| !rejected.contains(kernel)));
    }

    #[test]
    fn incumbents_are_the_nearest_entries_of_a_file_where_they_fit() {
        let (plan, device) = plan_for(Dtype::Fp8W8a8);
        let config = |m: u32, stages: u32| KernelConfig {
            block_size_m: m,
            block_size_n: 128,
            block_size_k: 128,
            group_size_m: 16,
            num_warps: 4,
            num_stages: stages,
        };
        let up = ConfigFile::new([(64, config(32, 3)), (4096, config(64, 5))]);
        let down = ConfigFile::new([(64, config(32, 2)), (4096, config(64, 3))]);
        let other = ConfigFile::new([(64, config(128, 2))]);
        let incumbent = |files| Incumbent::new(std::path::Path::new("E=160,N=384.json"), &files);
        let contests = Contests::new(
            &plan,
            &device,
            &HashSet::new(),
            &[incumbent([up.clone(), down]), incumbent([up, other])],
        );
        let [small, large] = &contests.problem.contests[..] else { panic!("two batch sizes") };
        // The second pair disagrees on BLOCK_SIZE_M; 64x128x128 with five stages takes 98,304 bytes and fits.
        assert_eq!((small.incumbents.len(), large.incumbents.len()), (1, 1));
        let [up, down] = contests.configs(0, &small.incumbents[0]);
        assert_eq!((up.num_stages, down.num_stages), (3, 2));
    }

    #[test]
    fn the_same_config_has_the_same_name_everywhere() {
        let (plan, device) = plan_for(Dtype::Fp8W8a8);
        let contests = Contests::new(&plan, &device, &HashSet::new(), &[]);
        let [small, large] = &contests.problem.contests[..] else { panic!("two batch sizes") };
        let name = small.arm(0, 3).name;
        let other = large.slots[1].arms.iter().position(|arm| arm.name == name).unwrap();
        assert_eq!(contests.config(0, 0, 3), contests.config(1, 1, other));
    }

    #[test]
    fn large_batches_need_binaries_of_their_own_on_0_5_23_alone() {
        let (mut plan, device) = plan_for(Dtype::Fp8W8a8);
        let units = |plan: &Plan| {
            LaunchedUnits::new(&Contests::new(plan, &device, &HashSet::new(), &[]), plan, &device).variants()
        };
        assert_eq!(units(&plan), []);
        plan.target = Target::of(Runtime::Sglang0523);
        plan.batch_sizes = vec![1, 64];
        // 64 tokens are 512 rows going down: still decoding.
        assert_eq!(units(&plan), []);
        plan.batch_sizes = vec![1, 65, 4096];
        let units = units(&plan);
        assert_eq!(
            units.iter().filter(|unit| unit.role == Role::Down && unit.batch_size == Some(65)).count(),
            364
        );
        assert_eq!(
            units.iter().filter(|unit| unit.role == Role::Up && unit.batch_size == Some(4096)).count(),
            364
        );
        assert_eq!(units.len(), 2 * 364);
    }
}
