//! A model and a way to split it -> the shape of one MoE layer on one rank.
//!
//! E is the experts divided by ep, N the intermediate size divided by tp / ep; both divisions are
//! exact (SGLang's `FusedMoE` asserts them). Fused shared experts are added to E after the division,
//! as each rank carries them whole.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Tuner};
use super::by_hand::ByHand;
use super::config_json::ModelConfig;
use super::fusion::{self, ExpertLayer, FusionChoice, SharedExperts};
use super::geometry_error::GeometryError;
use super::limits::MAX_PARALLELISM;
use super::numbers::Numbers;
use super::quantization_config::scheme;
use super::scheme::{QuantizationMethod, Scheme};
use super::warning::GeometryWarning;
use crate::runtime::Runtime;
use crate::shape::{MoeShape, Quantization};

/// How a model is spread over ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "TpEp", into = "TpEp")]
pub struct Parallelism {
    tp: u32,
    ep: u32,
}

/// [`Parallelism`] as it is written: not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TpEp {
    tp: u32,
    ep: u32,
}

impl TryFrom<TpEp> for Parallelism {
    type Error = GeometryError;

    fn try_from(TpEp { tp, ep }: TpEp) -> Result<Self, Self::Error> {
        Self::new(tp, ep)
    }
}

impl From<Parallelism> for TpEp {
    fn from(Parallelism { tp, ep }: Parallelism) -> Self {
        Self { tp, ep }
    }
}

impl Parallelism {
    /// `tp` ranks hold a layer together; `ep` groups of them hold different experts.
    pub fn new(tp: u32, ep: u32) -> Result<Self, GeometryError> {
        for (name, value) in [("tp", tp), ("ep", ep)] {
            if !(1..=MAX_PARALLELISM).contains(&value) {
                return Err(GeometryError::BadParallelism { name, value });
            }
        }
        if !tp.is_multiple_of(ep) {
            return Err(GeometryError::TpNotDivisible { tp, ep, working: divisors(tp).collect() });
        }
        Ok(Self { tp, ep })
    }

    /// Tensor parallelism: ranks that hold a layer together.
    pub fn tp(self) -> u32 {
        self.tp
    }

    /// Expert parallelism: groups that hold different experts.
    pub fn ep(self) -> u32 {
        self.ep
    }

    /// Slices each expert is cut into.
    pub fn split(self) -> u32 {
        self.tp / self.ep
    }
}

impl fmt::Display for Parallelism {
    /// `tp 4`, or `tp 4 ep 2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tp {}", self.tp)?;
        if self.ep > 1 { write!(f, " ep {}", self.ep) } else { Ok(()) }
    }
}

/// The shape of one MoE layer on one rank, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// What the kernel sees.
    pub shape: MoeShape,
    /// The name in `architectures`; none where the shape was given by hand.
    pub architecture: Option<String>,
    /// How the model was split.
    pub parallelism: Parallelism,
    /// Routed experts of the whole model, before ep.
    pub model_experts: u32,
    /// Intermediate size of one expert of the whole model, before tp / ep.
    pub model_intermediate: u32,
    /// What the user should know.
    pub warnings: Vec<GeometryWarning>,
}

/// The shape of `config`'s MoE layers as `runtime` sees them on one rank.
pub(crate) fn moe_shape(
    config: &ModelConfig,
    parallelism: Parallelism,
    runtime: Runtime,
    fusion: FusionChoice,
) -> Result<Geometry, GeometryError> {
    Geometry::resolve(Some(config), &ByHand::default(), parallelism, runtime, fusion)
}

impl Geometry {
    /// The shape given entirely by flags.
    pub fn by_hand(
        by_hand: &ByHand,
        parallelism: Parallelism,
        runtime: Runtime,
        fusion: FusionChoice,
    ) -> Result<Self, GeometryError> {
        Self::resolve(None, by_hand, parallelism, runtime, fusion)
    }

    /// The shape of a model where one is given, with what flags say in place of what it says.
    ///
    /// What is given by hand is in the model's terms: before the division by tp and ep.
    pub fn resolve(
        config: Option<&ModelConfig>,
        by_hand: &ByHand,
        parallelism: Parallelism,
        runtime: Runtime,
        fusion: FusionChoice,
    ) -> Result<Self, GeometryError> {
        by_hand.check()?;
        let Some(config) = config else {
            let numbers = by_hand.complete()?;
            let scheme = Scheme::new(QuantizationMethod::None, numbers.quantization);
            return Draft { config: None, row: None, numbers, scheme, parallelism, runtime, fusion }.finish();
        };
        let row = known_architecture(config, by_hand)?;
        let scheme = match by_hand.dtype {
            Some(_) => Scheme::new(QuantizationMethod::None, by_hand.quantization(None)?),
            None => {
                let mut scheme = scheme(config, runtime)?;
                scheme.quantization = by_hand.quantization(Some(scheme.quantization))?;
                scheme
            }
        };
        let number =
            |given: Option<u32>, what, names: fn(&Architecture) -> &'static [&'static str]| match given {
                Some(value) => Ok(value),
                None => read(config, row, what, names),
            };
        let numbers = Numbers {
            experts: number(by_hand.experts, "how many routed experts there are", |row| row.fields.experts)?,
            intermediate: number(by_hand.intermediate, "how wide an expert is", |row| {
                row.fields.intermediate
            })?,
            hidden: number(by_hand.hidden, "how wide the model is", |row| row.fields.hidden)?,
            top_k: number(by_hand.top_k, "how many experts a token goes through", |row| row.fields.top_k)?,
            gated: by_hand.gated.unwrap_or_else(|| row.is_none_or(|row| row.gated)),
            quantization: scheme.quantization,
        };
        Draft { config: Some(config), row, numbers, scheme, parallelism, runtime, fusion }.finish()
    }
}

/// The row of the config's architecture; none if it is unknown but nothing needs to be looked up.
fn known_architecture(
    config: &ModelConfig,
    by_hand: &ByHand,
) -> Result<Option<&'static Architecture>, GeometryError> {
    let name = match config.architecture() {
        Ok(name) => name,
        Err(_) if by_hand.has_every_number() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match Architecture::find(name) {
        Some(row) => Ok(Some(row)),
        None if by_hand.has_every_number() => Ok(None),
        None => Err(unknown(config, name)),
    }
}

fn unknown(config: &ModelConfig, name: &str) -> GeometryError {
    let origin = config.origin().to_owned();
    let architecture = super::config_json::shorten(name);
    let mut looked_for: Vec<(String, bool)> = Vec::new();
    let mut experts = false;
    for row in Architecture::all() {
        for names in [row.fields.experts, row.fields.top_k, row.fields.intermediate] {
            for field in names {
                let there = config.text_field(field).is_some();
                experts |= there && !row.fields.intermediate.contains(field);
                if looked_for.iter().all(|(known, _)| known != field) {
                    looked_for.push(((*field).to_owned(), there));
                }
            }
        }
    }
    if experts {
        GeometryError::UnknownArchitecture { origin, architecture, looked_for }
    } else {
        GeometryError::Dense { origin, architecture }
    }
}

/// A number of the model, under the first of its names that is there.
fn read(
    config: &ModelConfig,
    row: Option<&Architecture>,
    what: &'static str,
    names: fn(&Architecture) -> &'static [&'static str],
) -> Result<u32, GeometryError> {
    let names = row.map(names).unwrap_or_default();
    for name in names {
        if let Some(value) = config.count(name)? {
            return Ok(value);
        }
    }
    Err(GeometryError::MissingField {
        origin: config.origin().to_owned(),
        architecture: row.map_or("?", |row| row.name).to_owned(),
        what,
        names: names.iter().map(|name| format!("`{}`", config.text_name(name))).collect(),
    })
}

struct Draft<'a> {
    config: Option<&'a ModelConfig>,
    row: Option<&'static Architecture>,
    numbers: Numbers,
    scheme: Scheme,
    parallelism: Parallelism,
    runtime: Runtime,
    fusion: FusionChoice,
}

impl Draft<'_> {
    fn finish(mut self) -> Result<Geometry, GeometryError> {
        let Numbers { experts, intermediate, hidden, top_k, gated, .. } = self.numbers;
        let Parallelism { tp, ep } = self.parallelism;
        let split = self.parallelism.split();
        if top_k > experts {
            return Err(GeometryError::TopKTooLarge { top_k, experts });
        }
        if !experts.is_multiple_of(ep) {
            let working = divisors(tp).filter(|ep| experts.is_multiple_of(*ep)).collect();
            return Err(GeometryError::ExpertsNotDivisible { experts, tp, ep, working });
        }
        if !intermediate.is_multiple_of(split) {
            let working = small_divisors(intermediate).map(|split| split.saturating_mul(ep)).collect();
            return Err(GeometryError::IntermediateNotDivisible { intermediate, ep, split, working });
        }
        let rank_intermediate = intermediate / split;
        let mut warnings = std::mem::take(&mut self.scheme.warnings);
        let fused = self.fused(rank_intermediate, &mut warnings)?;
        let rank_experts = experts / ep + fused;
        self.warn_of_architecture(rank_experts, &mut warnings);
        let quantization = self.fit_scales(rank_intermediate, &mut warnings);
        Ok(Geometry {
            shape: MoeShape {
                experts: rank_experts,
                intermediate: rank_intermediate,
                hidden,
                top_k,
                fused_shared_experts: fused,
                gated,
                quantization,
            },
            architecture: self.config.and_then(|config| config.architecture().ok()).map(str::to_owned),
            parallelism: self.parallelism,
            model_experts: experts,
            model_intermediate: intermediate,
            warnings,
        })
    }

    fn fused(
        &self,
        rank_intermediate: u32,
        warnings: &mut Vec<GeometryWarning>,
    ) -> Result<u32, GeometryError> {
        let layer = ExpertLayer {
            experts: self.numbers.experts,
            intermediate: self.numbers.intermediate,
            rank_intermediate,
            ep: self.parallelism.ep,
        };
        let rule = self.row.map_or(SharedExperts::Separate, |row| row.shared);
        let default = match self.config {
            Some(config) => rule.fused_by_default(config, &self.scheme, layer, self.runtime)?,
            None => 0,
        };
        let chosen = match self.fusion {
            FusionChoice::Auto => default,
            FusionChoice::Off => 0,
            FusionChoice::On if default > 0 => default,
            FusionChoice::On => self.forced()?,
        };
        if chosen != default {
            warnings.push(GeometryWarning::FusionOverridden { runtime: self.runtime, chosen, default });
        }
        Ok(chosen)
    }

    fn forced(&self) -> Result<u32, GeometryError> {
        if self.runtime == Runtime::Vllm {
            return Err(GeometryError::NothingToFuse { reason: "vLLM runs shared experts apart".to_owned() });
        }
        // By hand there is nothing that says how many; every model served so far has one.
        let Some(config) = self.config else { return Ok(1) };
        match fusion::declared(config)? {
            0 => Err(GeometryError::NothingToFuse { reason: format!("{} declares none", config.origin()) }),
            count => Ok(count),
        }
    }

    fn warn_of_architecture(&self, rank_experts: u32, warnings: &mut Vec<GeometryWarning>) {
        let (Some(row), runtime) = (self.row, self.runtime) else { return };
        if let Some(note) = row.note {
            warnings.push(GeometryWarning::Architecture { architecture: row.name, note });
        }
        if !row.is_served_by(runtime) {
            warnings.push(GeometryWarning::ArchitectureNotServed { runtime, architecture: row.name });
        }
        // The tuner that was read is the one of 0.5.23's time.
        if runtime == Runtime::Sglang0523 && self.fusion == FusionChoice::Auto {
            let routed = self.numbers.experts / self.parallelism.ep;
            let tuner = match row.tuner {
                Tuner::Routed => routed,
                Tuner::PlusShared => routed + 1,
                Tuner::Fallback => return,
            };
            if tuner != rank_experts {
                warnings.push(GeometryWarning::TunerDisagrees { server: rank_experts, tuner });
            }
        }
    }

    /// Scales against the slice: what does not divide, and what the server makes of it.
    ///
    /// Sources: `create_weights` in `fp8.py` and `blockwise_int8.py` (raise), and in `moe_wna16.py`
    /// (halves the group down to 32, then asserts); the same in both SGLang versions.
    fn fit_scales(&self, n: u32, warnings: &mut Vec<GeometryWarning>) -> Quantization {
        let mut quantization = self.scheme.quantization;
        let Numbers { intermediate, hidden, .. } = self.numbers;
        if let Some(block) = quantization.full_block() {
            let fits = |n: u32| n.is_multiple_of(block.n) && n.is_multiple_of(block.k);
            if !fits(n) {
                let working_splits =
                    small_divisors(intermediate).filter(|split| fits(intermediate / split)).collect();
                warnings.push(GeometryWarning::BlockMisaligned { intermediate: n, block, working_splits });
            }
        } else if let Some(mut block) = quantization.block_shape {
            let declared = block.k;
            let fits = |group: u32| n.is_multiple_of(group) && hidden.is_multiple_of(group);
            while block.k >= 32 && !fits(block.k) {
                block.k /= 2;
            }
            if block.k < 32 {
                warnings.push(GeometryWarning::GroupTooSmall { declared, intermediate: n, hidden });
            } else if block.k != declared {
                warnings.push(GeometryWarning::GroupHalved { declared, effective: block.k });
                quantization.block_shape = Some(block);
            }
        }
        quantization
    }
}

fn divisors(of: u32) -> impl Iterator<Item = u32> {
    (1..=of.min(MAX_PARALLELISM)).filter(move |d| of.is_multiple_of(*d))
}

/// Divisors that are a plausible number of ranks.
fn small_divisors(of: u32) -> impl Iterator<Item = u32> {
    divisors(of).take_while(|d| *d <= 64)
}
