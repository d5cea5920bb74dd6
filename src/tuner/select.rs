//! Which config each batch size gets, given what is known not to work. Pure.

use std::collections::{HashMap, HashSet};

use super::plan::{Plan, Policy};
use super::ranking::{Ranked, rank};
use crate::artifact::Evidence;
use crate::artifact::manifest::{ManifestMeasurement, Source};
use crate::artifact::pair::{self, Candidate};
use crate::device::Device;
use crate::kernel::cost::CostModel;
use crate::kernel::shared_memory;
use crate::shape::{KernelConfig, Role, Tile};

/// What is known of kernels that were compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct KernelFindings {
    /// Those that cannot be used, with the reason.
    pub rejected: HashMap<(Role, Tile), String>,
    /// Those that work and spill registers: passed over while anything that does not spill is left.
    pub spilling: HashSet<(Role, Tile)>,
}

/// One role's config at one batch size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RoleConfig {
    /// The config.
    pub config: KernelConfig,
    /// Where it comes from.
    pub source: Source,
    /// Predicted time, microseconds; `None` for a default outside the cost model's reach.
    pub predicted_us: Option<f64>,
    /// Why the runtime's default is not used, where it is not.
    pub default_replaced: Option<String>,
    /// What was measured of both roles together, and the rung it reached by that.
    pub measured: Option<(Evidence, ManifestMeasurement)>,
}

/// Both roles at one batch size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selected {
    /// Tokens in a forward pass: the key.
    pub batch_size: u32,
    /// `gate_up_proj`.
    pub up: RoleConfig,
    /// `down_proj`.
    pub down: RoleConfig,
}

impl Selected {
    /// One role's choice.
    pub(crate) fn role(&self, role: Role) -> &RoleConfig {
        match role {
            Role::Up => &self.up,
            Role::Down => &self.down,
        }
    }
}

/// No config is left for a batch size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no config is left for batch size {batch_size}: none that fits {device} ({limit} bytes of shared \
     memory a block) with one BLOCK_SIZE_M for up and down was accepted by the compiler"
)]
pub(crate) struct NothingLeft {
    batch_size: u32,
    device: String,
    limit: u32,
}

/// Chooses configs for one plan. Rankings are made once and asked again as tiles are rejected.
#[derive(Debug)]
pub(crate) struct Selector<'a> {
    plan: &'a Plan,
    device: &'a Device,
    rankings: HashMap<(u32, Role), Vec<Ranked>>,
}

impl<'a> Selector<'a> {
    /// A selector for `plan` on `device`.
    pub(crate) fn new(plan: &'a Plan, device: &'a Device) -> Self {
        Self { plan, device, rankings: HashMap::new() }
    }

    /// The choice for every batch size of the plan.
    pub(crate) fn select(&mut self, findings: &KernelFindings) -> Result<Vec<Selected>, NothingLeft> {
        let plan = self.plan;
        plan.batch_sizes.iter().map(|&batch_size| self.select_one(batch_size, findings)).collect()
    }

    fn select_one(&mut self, batch_size: u32, findings: &KernelFindings) -> Result<Selected, NothingLeft> {
        let shape = &self.plan.shape;
        let limit = self.device.shared_memory_per_block;
        let default = self.plan.target.runtime.default_config(shape, batch_size, limit);
        let needs = shared_memory::required_bytes(&default.tile(), &shape.quantization);
        let unfit =
            (needs > limit).then(|| format!("needs {needs} bytes of shared memory, the device has {limit}"));
        // Without a file both kernels run the same default: one that fails fails the layer. The other
        // kernel's default still holds its place, and with it the BLOCK_SIZE_M both share.
        let refusal =
            |role| unfit.clone().or_else(|| findings.rejected.get(&(role, default.tile())).cloned());
        let (up_refusal, down_refusal) = (refusal(Role::Up), refusal(Role::Down));
        let keeps_default =
            |refusal: &Option<String>| self.plan.policy == Policy::RuntimeDefault && refusal.is_none();
        let kept = (keeps_default(&up_refusal), keeps_default(&down_refusal));
        let default_cost = |role| {
            CostModel::new(shape, self.device, batch_size).cost(role, &default).map(|cost| cost.time_us)
        };
        let mut candidates = |role, kept, spilling_too| {
            if kept {
                vec![Candidate { config: default, cost: default_cost(role).unwrap_or(0.0) }]
            } else {
                self.ranked(batch_size, role, findings, spilling_too)
            }
        };
        // A default kept for one role may leave the other nothing with its BLOCK_SIZE_M, and tiles that
        // spill are better than none.
        let attempts = [(kept, false), (kept, true), ((false, false), false), ((false, false), true)];
        let chosen = attempts.into_iter().find_map(|((keep_up, keep_down), spilling_too)| {
            let up = candidates(Role::Up, keep_up, spilling_too);
            let down = candidates(Role::Down, keep_down, spilling_too);
            Some((pair::choose(&up, &down)?, keep_up, keep_down))
        });
        let Some((chosen, keep_up, keep_down)) = chosen else {
            return Err(NothingLeft { batch_size, device: self.device.name.clone(), limit });
        };
        let choice = |role, kept, candidate: Candidate, refusal: Option<String>| {
            if kept {
                RoleConfig {
                    config: candidate.config,
                    source: Source::RuntimeDefault,
                    predicted_us: default_cost(role),
                    default_replaced: None,
                    measured: None,
                }
            } else {
                RoleConfig {
                    config: candidate.config,
                    source: Source::BestPredicted,
                    predicted_us: Some(candidate.cost),
                    default_replaced: (self.plan.policy == Policy::RuntimeDefault).then(|| {
                        let why = refusal.unwrap_or_else(|| {
                            "shares no BLOCK_SIZE_M with what the other projection needs".into()
                        });
                        format!("the runtime's default {default} {why}")
                    }),
                    measured: None,
                }
            }
        };
        Ok(Selected {
            batch_size,
            up: choice(Role::Up, keep_up, chosen.up, up_refusal),
            down: choice(Role::Down, keep_down, chosen.down, down_refusal),
        })
    }

    fn ranked(
        &mut self,
        batch_size: u32,
        role: Role,
        findings: &KernelFindings,
        spilling_too: bool,
    ) -> Vec<Candidate> {
        let (plan, device) = (self.plan, self.device);
        self.rankings
            .entry((batch_size, role))
            .or_insert_with(|| rank(&plan.shape, device, plan.target.runtime, batch_size, role))
            .iter()
            .filter(|ranked| {
                let kernel = (role, ranked.config.tile());
                !findings.rejected.contains_key(&kernel)
                    && (spilling_too || !findings.spilling.contains(&kernel))
            })
            .map(|ranked| Candidate { config: ranked.config, cost: ranked.predicted_us })
            .collect()
    }
}

#[cfg(test)]
mod tests;
