//! What the user says of a run that goes on, held against what it was started with.

use std::path::Path;

use super::plan::{
    Incumbent, Plan, PlannedDevice, PlannedImage, PlannedModel, PlannedSubject, Policy, short_name,
};
use super::strategy::StrategySpec;
use crate::artifact::Evidence;
use crate::journal::{FILE_NAME, JournalError};
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::shape::MoeShape;

/// What the user says; where nothing is said, it is as recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestedPlan {
    /// A model's name, with or without its organisation.
    pub model: Option<String>,
    /// Tensor parallelism.
    pub tp: Option<u32>,
    /// Expert parallelism.
    pub ep: Option<u32>,
    /// The layer.
    pub shape: Option<MoeShape>,
    /// The device's catalogue id.
    pub device: Option<String>,
    /// What the catalogue has for the device now, bytes.
    pub shared_memory_per_block: Option<u32>,
    /// The runtime.
    pub runtime: Option<Runtime>,
    /// Its Triton.
    pub triton: Option<TritonVersion>,
    /// The keys of the files.
    pub batch_sizes: Option<Vec<u32>>,
    /// How entries are chosen.
    pub policy: Option<Policy>,
    /// The rung every entry must reach.
    pub evidence: Option<Evidence>,
    /// How it is measured.
    pub strategy: Option<Option<StrategySpec>>,
    /// Config files whose entries are heard too.
    pub incumbents: Option<Vec<Incumbent>>,
    /// The image.
    pub image: Option<Option<PlannedImage>>,
}

impl RequestedPlan {
    /// Everything, as `plan` has it.
    pub(crate) fn all(plan: &Plan) -> Self {
        let Plan { model, shape, device, target, batch_sizes, policy, evidence, strategy, incumbents, image } =
            plan;
        let PlannedModel { name, architecture: _, tp, ep } = model;
        let PlannedDevice { id, name: _, shared_memory_per_block } = device;
        let Target { runtime, triton } = *target;
        Self {
            model: Some(name.clone()),
            tp: Some(*tp),
            ep: Some(*ep),
            shape: Some(*shape),
            device: Some(id.clone()),
            shared_memory_per_block: Some(*shared_memory_per_block),
            runtime: Some(runtime),
            triton: Some(triton),
            batch_sizes: Some(batch_sizes.clone()),
            policy: Some(*policy),
            evidence: Some(*evidence),
            strategy: Some(strategy.clone()),
            incumbents: Some(incumbents.clone()),
            image: Some(image.clone()),
        }
    }

    /// That the run in `dir` was started with another plan, if it was: what is said otherwise is refused, not
    /// ignored.
    pub(crate) fn hold_against(&self, plan: &Plan, dir: &Path) -> Result<(), JournalError> {
        let Plan { model, shape, device, target, batch_sizes, policy, evidence, strategy, incumbents, image } =
            plan;
        let method = |spec: &Option<StrategySpec>| match spec {
            Some(spec) => {
                format!("{} version {}, seed {}", spec.method.name(), spec.method.version(), spec.seed)
            }
            None => "none".to_owned(),
        };
        let paths = |files: &[Incumbent]| match files {
            [] => "none".to_owned(),
            files => files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", "),
        };
        // Where they lie does not matter, what they hold does; and where nothing is measured nobody hears them.
        let same = |asked: &[Incumbent]| {
            let held = |files: &[Incumbent]| -> Vec<_> {
                files.iter().map(|Incumbent { path: _, up, down }| (up.clone(), down.clone())).collect()
            };
            strategy.is_none() || held(asked) == held(incumbents)
        };
        self.hold_against_subject(
            &PlannedSubject { model, shape, device, target: *target, batch_sizes, image },
            dir,
        )?;
        let differences = [
            self.policy
                .filter(|asked| asked != policy)
                .map(|asked| ("policy", policy.name().to_owned(), asked.name().to_owned())),
            unlike("evidence", evidence, &self.evidence),
            self.strategy
                .as_ref()
                .filter(|asked| *asked != strategy)
                .map(|asked| ("strategy", method(strategy), method(asked))),
            self.incumbents.as_ref().filter(|asked| !same(asked.as_slice())).map(|asked| {
                ("incumbents", paths(incumbents), format!("{}, with other entries", paths(asked)))
            }),
        ];
        first(differences, dir)
    }

    /// The same of what a plan is for; nothing else may have been said.
    pub(crate) fn hold_against_subject(
        &self,
        subject: &PlannedSubject<'_>,
        dir: &Path,
    ) -> Result<(), JournalError> {
        let PlannedSubject { model, shape, device, target, batch_sizes, image } = *subject;
        let PlannedModel { name, architecture: _, tp, ep } = model;
        let PlannedDevice { id, name: _, shared_memory_per_block } = device;
        let Target { runtime, triton } = target;
        let called = |asked: &String| {
            name.eq_ignore_ascii_case(asked) || short_name(name).eq_ignore_ascii_case(short_name(asked))
        };
        // One image may have many names.
        let id_of = |image: &Option<PlannedImage>| image.as_ref().map(|image| image.id.clone());
        let called_or_none =
            |image: &Option<PlannedImage>| image.as_ref().map_or("none".to_owned(), ToString::to_string);
        let differences = [
            self.model
                .as_ref()
                .filter(|asked| !called(asked))
                .map(|it| ("model.name", name.clone(), it.clone())),
            unlike("model.tp", tp, &self.tp),
            unlike("model.ep", ep, &self.ep),
            unlike("shape", shape, &self.shape),
            unlike("device.id", id, &self.device),
            unlike("device.shared_memory_per_block", shared_memory_per_block, &self.shared_memory_per_block),
            unlike("target.runtime", &runtime, &self.runtime),
            unlike("target.triton", &triton, &self.triton),
            self.batch_sizes
                .as_ref()
                .filter(|asked| *asked != batch_sizes)
                .map(|asked| ("batch_sizes", format!("{batch_sizes:?}"), format!("{asked:?}"))),
            self.image
                .as_ref()
                .filter(|asked| id_of(asked) != id_of(image))
                .map(|asked| ("image", called_or_none(image), called_or_none(asked))),
        ];
        first(differences, dir)
    }
}

/// The first of what differs, if anything does, as the error that the run in `dir` is another's.
fn first(differences: impl IntoIterator<Item = Option<Difference>>, dir: &Path) -> Result<(), JournalError> {
    match differences.into_iter().flatten().next() {
        None => Ok(()),
        Some((field, was, now)) => {
            Err(JournalError::OtherPlan { path: dir.join(FILE_NAME), field: field.into(), was, now })
        }
    }
}

type Difference = (&'static str, String, String);

fn unlike<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    was: &T,
    asked: &Option<T>,
) -> Option<Difference> {
    asked.as_ref().filter(|asked| *asked != was).map(|asked| (field, was.to_string(), asked.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::KernelConfig;
    use crate::tuner::run::tests::{glm, measured::confirmed};

    fn incumbent(path: &str, stages: u32) -> Incumbent {
        let config = KernelConfig {
            block_size_m: 64,
            block_size_n: 128,
            block_size_k: 128,
            group_size_m: 1,
            num_warps: 4,
            num_stages: stages,
        };
        Incumbent { path: path.into(), up: vec![(64, config)], down: vec![(64, config)] }
    }

    fn refused(asked: &RequestedPlan, plan: &Plan) -> Option<String> {
        asked.hold_against(plan, Path::new("run")).err().map(|error| error.to_string())
    }

    #[test]
    fn what_a_plan_says_of_itself_fits_it_and_so_does_nothing() {
        for plan in [glm(), Plan { incumbents: vec![incumbent("f.json", 3)], ..confirmed() }] {
            assert_eq!(refused(&RequestedPlan::all(&plan), &plan), None);
            assert_eq!(refused(&RequestedPlan::default(), &plan), None);
        }
    }

    #[test]
    fn every_field_that_differs_is_named_with_both_values() {
        let plan = confirmed();
        let other = |change: &dyn Fn(&mut RequestedPlan)| {
            let mut asked = RequestedPlan::all(&plan);
            change(&mut asked);
            refused(&asked, &plan).unwrap()
        };
        for (words, change) in [
            (
                "`model.name` was org/GLM, now X",
                &(|it: &mut RequestedPlan| it.model = Some("X".into())) as &dyn Fn(&mut RequestedPlan),
            ),
            ("`model.tp` was 4, now 8", &|it| it.tp = Some(8)),
            ("`model.ep` was 1, now 2", &|it| it.ep = Some(2)),
            ("`shape` was E=160", &|it| it.shape.as_mut().unwrap().experts = 161),
            ("`device.id` was gb10, now h100", &|it| it.device = Some("h100".into())),
            ("`device.shared_memory_per_block` was 101376, now 1", &|it| {
                it.shared_memory_per_block = Some(1)
            }),
            ("`target.runtime` was", &|it| it.runtime = Some(Runtime::Sglang0523)),
            ("`batch_sizes` was [64, 4096], now [1]", &|it| it.batch_sizes = Some(vec![1])),
            ("`policy` was runtime-default, now best-predicted", &|it| {
                it.policy = Some(Policy::BestPredicted)
            }),
            ("`evidence` was confirmed, now compiled", &|it| it.evidence = Some(Evidence::Compiled)),
            ("`strategy` was race version", &|it| it.strategy = Some(None)),
            ("`incumbents` was none, now f.json", &|it| it.incumbents = Some(vec![incumbent("f.json", 3)])),
        ] {
            let said = other(change);
            assert!(said.contains(words) && said.contains("run/journal.jsonl"), "{said}");
        }
    }

    #[test]
    fn an_image_is_its_id_whatever_it_is_called() {
        let image = |name: &str, id: &str| PlannedImage { name: name.into(), id: id.into() };
        let plan = Plan { image: Some(image("sglang:spark", "sha256:aa")), ..glm() };
        let asked = |image| RequestedPlan { image: Some(image), ..RequestedPlan::default() };
        assert_eq!(refused(&asked(Some(image("other", "sha256:aa"))), &plan), None);
        assert_eq!(refused(&RequestedPlan::default(), &plan), None);
        let said = refused(&asked(Some(image("sglang:spark", "sha256:bb"))), &plan).unwrap();
        let words = "`image` was sglang:spark (sha256:aa), now sglang:spark (sha256:bb)";
        assert!(said.contains(words), "{said}");
        let said = refused(&asked(Some(image("sglang:spark", "sha256:bb"))), &glm()).unwrap();
        assert!(said.contains("`image` was none, now sglang:spark (sha256:bb)"), "{said}");
    }

    #[test]
    fn a_plan_without_an_image_reads_and_writes_as_it_did_before_there_were_any() {
        let text = serde_json::to_string(&glm()).unwrap();
        assert!(!text.contains("image"), "{text}");
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), glm());
    }

    #[test]
    fn a_model_may_be_named_without_its_organisation() {
        let asked = RequestedPlan { model: Some("glm".into()), ..RequestedPlan::default() };
        assert_eq!(refused(&asked, &glm()), None);
    }

    #[test]
    fn incumbents_are_what_they_hold_wherever_they_lie() {
        let plan = Plan { incumbents: vec![incumbent("f.json", 3)], ..confirmed() };
        let asked = |file| RequestedPlan { incumbents: Some(vec![file]), ..RequestedPlan::default() };
        assert_eq!(refused(&asked(incumbent("../elsewhere/f.json", 3)), &plan), None);
        let said = refused(&asked(incumbent("f.json", 4)), &plan).unwrap();
        assert!(said.contains("`incumbents` was f.json, now f.json, with other entries"), "{said}");
        // Where nothing is measured nobody hears them.
        assert_eq!(refused(&asked(incumbent("f.json", 4)), &glm()), None);
    }
}
