//! What a run to be resumed was started with, held against what the user says now.

use std::path::Path;

use super::settings::MoeSettings;
use crate::commands::tune::subject::{SubjectSettings, devices, headline};
use crate::device::Device;
use crate::failure::Failure;
use crate::model::Parallelism;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::{Incumbent, Plan};
use crate::tuner::requested_plan::RequestedPlan;
use crate::tuner::strategy::Method;

/// The plan a run was started with; flags that say otherwise are refused, not ignored.
pub(super) fn recorded_plan(
    settings: &MoeSettings,
    incumbents: Vec<Incumbent>,
    dir: &Path,
) -> Result<(Plan, Device, String), Box<dyn Failure>> {
    let SubjectSettings {
        model,
        tp,
        ep,
        by_hand: _,
        fusion: _,
        runtime,
        triton,
        device,
        profiles,
        offline: _,
    } = &settings.subject;
    let devices = devices(profiles.as_deref())?;
    let asked_device = device.as_ref().map(|asked| devices.find(asked)).transpose()?;
    let plan = OpenRun::recorded_plan(dir)?;
    let device = devices.find(&plan.device.id)?.clone();
    let races = matches!(plan.strategy.as_ref().map(|spec| spec.method), None | Some(Method::Race(_)));
    let requested = RequestedPlan {
        model: model.clone(),
        tp: *tp,
        ep: *ep,
        shape: None,
        runtime: *runtime,
        triton: *triton,
        device: asked_device.map(|device| device.id.clone()),
        // What the catalogue and the command stand for, too.
        shared_memory_per_block: Some(device.shared_memory_per_block),
        strategy: (!races).then_some(None),
        batch_sizes: settings.batch_sizes.clone(),
        policy: settings.policy,
        evidence: settings.evidence,
        incumbents: (!incumbents.is_empty()).then_some(incumbents),
    };
    requested.hold_against(&plan, dir)?;
    let split = Parallelism::new(plan.model.tp, plan.model.ep)?;
    let headline = headline(&plan.model.name, split, &plan.shape, &device);
    Ok((plan, device, headline))
}
