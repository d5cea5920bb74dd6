//! What a run to be resumed was started with, held against what the user says now.

use std::path::Path;

use super::settings::MoeSettings;
use crate::commands::tune::subject::{SubjectSettings, devices, headline, short};
use crate::device::Device;
use crate::failure::Failure;
use crate::journal::{Journal, JournalError};
use crate::model::Parallelism;
use crate::tuner::plan::Plan;
use crate::tuner::proofs::Record;

/// The plan a run was started with; flags that say otherwise are refused, not ignored.
pub fn recorded_plan(settings: &MoeSettings, dir: &Path) -> Result<(Plan, Device, String), Box<dyn Failure>> {
    let plan: Plan = Journal::<Record>::plan(dir)?;
    let device = devices(settings.subject.profiles.as_deref())?.find(&plan.device.id)?.clone();
    let SubjectSettings { model, tp, ep, by_hand: _, fusion: _, runtime, triton, device: asked, .. } =
        &settings.subject;
    let text = |value: &dyn std::fmt::Display| value.to_string();
    let mut said: Vec<(&str, String, String)> = Vec::new();
    if let Some(model) = model {
        let same = plan.model.name.eq_ignore_ascii_case(model)
            || short(&plan.model.name).eq_ignore_ascii_case(model);
        said.push((
            "model.name",
            plan.model.name.clone(),
            if same { plan.model.name.clone() } else { model.clone() },
        ));
    }
    said.extend(tp.map(|tp| ("model.tp", text(&plan.model.tp), text(&tp))));
    said.extend(ep.map(|ep| ("model.ep", text(&plan.model.ep), text(&ep))));
    said.extend(runtime.map(|runtime| ("target.runtime", text(&plan.target.runtime), text(&runtime))));
    said.extend(triton.map(|triton| ("target.triton", text(&plan.target.triton), text(&triton))));
    if let Some(asked) = asked {
        let found = devices(settings.subject.profiles.as_deref())?.find(asked)?.id.clone();
        said.push(("device.id", plan.device.id.clone(), found));
    }
    said.extend(settings.policy.map(|policy| ("policy", plan.policy.name().into(), policy.name().into())));
    said.extend(settings.evidence.map(|rung| ("evidence", text(&plan.evidence), text(&rung))));
    said.extend(
        settings
            .batch_sizes
            .as_ref()
            .map(|sizes| ("batch_sizes", format!("{:?}", plan.batch_sizes), format!("{sizes:?}"))),
    );
    let recorded_limit = plan.device.shared_memory_per_block;
    said.push((
        "device.shared_memory_per_block",
        recorded_limit.to_string(),
        device.shared_memory_per_block.to_string(),
    ));
    if let Some((field, was, now)) = said.into_iter().find(|(_, was, now)| was != now) {
        let path = dir.join(crate::journal::FILE_NAME);
        return Err(JournalError::OtherPlan { path, field: field.into(), was, now }.into());
    }
    let split = Parallelism::new(plan.model.tp, plan.model.ep)?;
    let headline = headline(&plan.model.name, split, &plan.shape, &device);
    Ok((plan, device, headline))
}
