//! What a run of the stock tuner is to do: everything its result depends on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model_argument::ModelArgument;
use super::record::StockRecord;
use super::script::ScriptIdentity;
use crate::journal::{self, Journal, JournalError};
use crate::runtime::{Target, VllmVersion};
use crate::shape::MoeShape;
use crate::tuner::error::RunError;
use crate::tuner::plan::{PlannedDevice, PlannedImage, PlannedModel, PlannedSubject};

/// The field of a plan that tells whose it is. Those of our own tuner have none.
const FIELD: &str = "tuner";

/// The one value of [`FIELD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StockTuner {
    /// The runtime's own.
    Stock,
}

/// The plan of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StockPlan {
    /// Whose plan it is.
    pub tuner: StockTuner,
    /// For which model.
    pub model: PlannedModel,
    /// The layer as the server holds it on one rank.
    pub shape: MoeShape,
    /// For which device.
    pub device: PlannedDevice,
    /// For which runtime and Triton.
    pub target: Target,
    /// The release, where the runtime does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<VllmVersion>,
    /// The keys of the file, ascending.
    pub batch_sizes: Vec<u32>,
    /// The image that runtime and Triton are of; none where they are of no image, or a cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<PlannedImage>,
    /// Which script.
    pub script: ScriptIdentity,
    /// Where it was given; none where it is the image's or the interpreter's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_path: Option<String>,
    /// The interpreter that runs it, where that is this machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// What the script is told of the model.
    pub model_argument: ModelArgument,
    /// The script's arguments, but for the batch size.
    pub arguments: Vec<String>,
}

impl StockPlan {
    /// Whether the run in `dir` is one of the stock tuner.
    pub(crate) fn is_of(dir: &Path) -> Result<bool, JournalError> {
        Ok(journal::planned(dir, FIELD)?.is_some_and(|tuner| tuner == "stock"))
    }

    /// What is planned, apart from how.
    pub(crate) fn subject(&self) -> PlannedSubject<'_> {
        let Self { model, shape, device, target, batch_sizes, image, .. } = self;
        PlannedSubject { model, shape, device, target: *target, batch_sizes, image }
    }

    /// The plan that the run in `dir` was started with. Nothing is touched.
    pub(crate) fn recorded(dir: &Path) -> Result<Self, RunError> {
        Ok(Journal::<StockRecord>::plan(dir)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtime::{Runtime, Target};
    use crate::tuner::run::tests::glm;
    use crate::tuner::stock::asked::Asked;
    use crate::tuner::stock::own_tuner::OwnTuner;
    use crate::tuner::stock::script::Script;

    pub(crate) fn plan(batch_sizes: &[u32]) -> StockPlan {
        plan_for(glm().target, None, batch_sizes)
    }

    /// The same for vLLM.
    pub(crate) fn vllm_plan(batch_sizes: &[u32]) -> StockPlan {
        plan_for(Target::of(Runtime::Vllm), Some("0.33.0".parse().unwrap()), batch_sizes)
    }

    fn plan_for(target: Target, release: Option<VllmVersion>, batch_sizes: &[u32]) -> StockPlan {
        let of_race = glm();
        let tuner = OwnTuner::of(target.runtime);
        let option = |name: &&str| format!("add_argument(\"{name}\")");
        let text: String = tuner.of_every.iter().chain(tuner.of_later).map(option).collect();
        let script = Script::read(text.as_bytes(), None, tuner).unwrap();
        let config = json!({"model_type": "glm4_moe"}).as_object().unwrap().clone();
        let model_argument = ModelArgument::Config(config);
        let quantization = &of_race.shape.quantization;
        let model = &model_argument;
        let asked = Asked { model, tp: 4, ep: 1, quantization, no_fusion: false, device: "NVIDIA_GB10" };
        StockPlan {
            tuner: StockTuner::Stock,
            arguments: asked.arguments(tuner, &script.options).unwrap(),
            model: of_race.model,
            shape: of_race.shape,
            device: of_race.device,
            target,
            release,
            batch_sizes: batch_sizes.to_vec(),
            image: None,
            script: script.identity,
            script_path: None,
            python: None,
            model_argument,
        }
    }

    #[test]
    fn a_run_says_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        drop(Journal::<StockRecord>::create(dir.path(), &plan(&[1])).unwrap());
        assert!(StockPlan::is_of(dir.path()).unwrap());
        assert_eq!(StockPlan::recorded(dir.path()).unwrap(), plan(&[1]));
        let other = tempfile::tempdir().unwrap();
        drop(Journal::<crate::tuner::record::Entry>::create(other.path(), &glm()).unwrap());
        assert!(!StockPlan::is_of(other.path()).unwrap());
        let error = StockPlan::is_of(&other.path().join("none")).unwrap_err();
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
    }
}
