//! What a command is about: a model's shape, a device and a target runtime, resolved from settings.

use std::fmt::Display;
use std::path::PathBuf;

use super::installation::{Installation, Named};
use crate::artifact::Evidence;
use crate::device::{Device, DeviceCatalogue};
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::model::source::{HfEnvironment, ResolveOptions, ResolvedModel, resolve};
use crate::model::{ByHand, FusionChoice, Geometry, ModelConfig, Parallelism, Recipe};
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::shape::MoeShape;
use crate::tuner::plan::{Plan, PlannedDevice, PlannedModel, Policy, short_name};

/// The device everything is for unless another is named.
const DEFAULT_DEVICE: &str = "gb10";

/// What the user said about model, target and device, before any of it is looked up.
#[derive(Debug, Clone)]
pub struct SubjectSettings {
    /// Name, id or path; `None` where everything is by hand.
    pub model: Option<String>,
    /// Tensor parallelism, where given.
    pub tp: Option<u32>,
    /// Expert parallelism, where given.
    pub ep: Option<u32>,
    /// Figures by hand.
    pub by_hand: ByHand,
    /// Whether the runtime fuses shared experts.
    pub fusion: FusionChoice,
    /// The runtime, where given.
    pub runtime: Option<Runtime>,
    /// The Triton, where given.
    pub triton: Option<TritonVersion>,
    /// The device, where given.
    pub device: Option<String>,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
    /// Download nothing.
    pub offline: bool,
}

/// A resolved subject.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The model's name: an id, a path, or `by hand`.
    pub name: String,
    /// Its shape on one rank and how it came about.
    pub geometry: Geometry,
    /// The device.
    pub device: Device,
    /// Runtime and Triton.
    pub target: Target,
}

/// Neither a model nor figures were given.
#[derive(Debug, thiserror::Error)]
#[error("no model given")]
pub struct NoModel;

impl Failure for NoModel {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        Some(
            "name one with --model (see `sparktune models`), or give --experts --intermediate --hidden \
             --top-k --dtype by hand"
                .into(),
        )
    }
}

/// The devices there are, the user's own included.
pub fn devices(profiles: Option<&std::path::Path>) -> Result<DeviceCatalogue, Box<dyn Failure>> {
    Ok(match profiles {
        Some(folder) => DeviceCatalogue::with_profiles(folder)?,
        None => DeviceCatalogue::embedded().clone(),
    })
}

impl SubjectSettings {
    /// Nothing said but the model.
    pub fn of_model(model: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            tp: None,
            ep: None,
            by_hand: ByHand::default(),
            fusion: FusionChoice::Auto,
            runtime: None,
            triton: None,
            device: None,
            profiles: None,
            offline: false,
        }
    }
}

impl Subject {
    /// What a run for this subject is to do.
    pub fn plan(&self, batch_sizes: Vec<u32>, policy: Policy, evidence: Evidence) -> Plan {
        Plan {
            model: PlannedModel {
                name: self.name.clone(),
                architecture: self.geometry.architecture.clone(),
                tp: self.geometry.parallelism.tp(),
                ep: self.geometry.parallelism.ep(),
            },
            shape: self.geometry.shape,
            device: PlannedDevice {
                id: self.device.id.clone(),
                name: self.device.name.clone(),
                shared_memory_per_block: self.device.shared_memory_per_block,
            },
            target: self.target,
            batch_sizes,
            policy,
            evidence,
            strategy: None,
            incumbents: Vec::new(),
            image: None,
        }
    }

    /// Look everything up. A flag wins over the recipe, the recipe over the built-in default.
    pub async fn resolve(settings: &SubjectSettings) -> Result<Self, Box<dyn Failure>> {
        Wanted::look_up(settings).await?.on(None, None)
    }

    /// The same with what the installation that was `named` has: it wins over the recipe, and a flag must say the same.
    pub(super) async fn resolve_on(
        settings: &SubjectSettings,
        named: Named<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Self, Box<dyn Failure>> {
        let installation = Installation::find(named).await;
        let (runtime, triton) = installation.decide((settings.runtime, settings.triton), observer)?;
        Wanted::look_up(settings).await?.on(runtime, triton)
    }

    /// One line for people.
    pub fn headline(&self) -> String {
        let Self { name, geometry, device, .. } = self;
        headline(name, geometry.parallelism, &geometry.shape, device)
    }
}

/// A subject whose target is still open.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    settings: &'a SubjectSettings,
    model: Option<ResolvedModel>,
    /// The device.
    pub device: Device,
}

impl<'a> Wanted<'a> {
    /// Look up model and device.
    pub(super) async fn look_up(settings: &'a SubjectSettings) -> Result<Self, Box<dyn Failure>> {
        let device = devices(settings.profiles.as_deref())?
            .find(settings.device.as_deref().unwrap_or(DEFAULT_DEVICE))?
            .clone();
        let model = match &settings.model {
            Some(query) => {
                let options = ResolveOptions {
                    profiles_dir: settings.profiles.clone(),
                    offline: settings.offline,
                    ..ResolveOptions::new(HfEnvironment::from_process())
                };
                Some(resolve(query, &options).await?)
            }
            None if settings.by_hand == ByHand::default() => return Err(NoModel.into()),
            None => None,
        };
        Ok(Self { settings, model, device })
    }

    /// The subject for a runtime and a Triton; for what flag, recipe or default say of what is not given.
    pub(super) fn on(
        self,
        runtime: Option<Runtime>,
        triton: Option<TritonVersion>,
    ) -> Result<Subject, Box<dyn Failure>> {
        let target = self.target(runtime, triton);
        let (name, parallelism) = (self.name(), Parallelism::new(self.tp(), self.ep())?);
        let Self { settings, model, device } = self;
        let geometry = Geometry::resolve(
            model.as_ref().map(|model| &model.config),
            &settings.by_hand,
            parallelism,
            target.runtime,
            settings.fusion,
        )?;
        Ok(Subject { name, geometry, device, target })
    }

    /// The model's name. The full id where there is one: two organisations can have a model of one name.
    pub(super) fn name(&self) -> String {
        self.model.as_ref().map_or_else(
            || "by hand".to_owned(),
            |model| model.origin.id().map_or_else(|| model.name.clone(), ToString::to_string),
        )
    }

    /// The model's config, and its Hugging Face id where it has one; none where everything is by hand.
    pub(super) fn config(&self) -> Option<(&ModelConfig, Option<String>)> {
        let model = self.model.as_ref()?;
        Some((&model.config, model.origin.id().map(ToString::to_string)))
    }

    /// Tensor parallelism.
    pub(super) fn tp(&self) -> u32 {
        self.settings.tp.or(self.recipe().map(|recipe| recipe.parallelism().tp())).unwrap_or(1)
    }

    fn ep(&self) -> u32 {
        self.settings.ep.or(self.recipe().map(|recipe| recipe.parallelism().ep())).unwrap_or(1)
    }

    fn recipe(&self) -> Option<&Recipe> {
        self.model.as_ref()?.recipe.as_ref()
    }

    fn target(&self, runtime: Option<Runtime>, triton: Option<TritonVersion>) -> Target {
        let recipe = self.recipe().map(Recipe::target);
        let named = runtime.or(self.settings.runtime).or(recipe.map(|target| target.runtime));
        let runtime = named.unwrap_or(Runtime::Sglang054);
        let triton = match (triton.or(self.settings.triton), recipe) {
            (Some(triton), _) => triton,
            // The recipe's Triton belongs to the recipe's runtime.
            (None, Some(target)) if target.runtime == runtime => target.triton,
            _ => runtime.default_triton(),
        };
        Target { runtime, triton }
    }
}

/// One line for people: model without its organisation, split, shape, device.
pub fn headline(name: &str, split: impl Display, shape: &MoeShape, device: &Device) -> String {
    format!(
        "{}  {split}  {shape}   {} ({} B shared)",
        short_name(name),
        device.name,
        grouped(device.shared_memory_per_block)
    )
}

/// `101,376`
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0u32, 999, 1000, 101_376, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "101,376", "1,234,567"]);
    }
}
