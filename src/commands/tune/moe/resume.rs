//! What a run to be resumed was started with, held against what the user says now.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::nodes::{FromNodes, RunContainers, RunNodes, owner};
use super::output::DryRun;
use super::settings::MoeSettings;
use super::{Begun, BegunRun};
use crate::artifact::Evidence;
use crate::cluster::installed::Family;
use crate::commands::tune::subject::{SubjectSettings, devices, headline};
use crate::device::Device;
use crate::events::Observer;
use crate::failure::Failure;
use crate::model::Parallelism;
use crate::tuner::open_run::OpenRun;
use crate::tuner::plan::{Incumbent, Plan};
use crate::tuner::requested_plan::RequestedPlan;
use crate::tuner::strategy::Method;
use crate::worker::image::Order;

/// The run in `dir`, which goes on. One that took its compiler from an image takes it from there again.
pub(super) async fn begin(
    containers: &mut RunContainers,
    settings: &MoeSettings,
    incumbents: Vec<Incumbent>,
    dir: &Path,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<Begun, Box<dyn Failure>> {
    let (plan, device, headline) = recorded_plan(settings, incumbents, dir)?;
    let own = &settings.compiler.environment;
    if settings.image.is_none() && (own.python.is_some() || own.sglang_root.is_some()) {
        let requested = RequestedPlan { image: Some(None), ..RequestedPlan::default() };
        requested.hold_against(&plan, dir)?;
    }
    let recorded = plan.image.as_ref().map(|image| image.id.as_str());
    if settings.cluster.is_some() {
        // A cluster's nodes have the image that the inventory says.
        let requested = RequestedPlan { image: Some(None), ..RequestedPlan::default() };
        requested.hold_against(&plan, dir)?;
    }
    let nodes = RunNodes::find(settings, recorded)?;
    let owner = owner(dir);
    let order = Order {
        family: Family::Sglang,
        owner: &owner,
        gpus: plan.evidence > Evidence::Compiled,
        again: true,
    };
    if settings.dry_run {
        let containers = nodes.map(|nodes| nodes.run_lines(&order)).unwrap_or_default();
        return Ok(Begun::Dry(Box::new(DryRun { plan, device, headline, dir: dir.to_owned(), containers })));
    }
    // Locked before anything of the run is touched.
    let open = OpenRun::resume(dir, &plan)?;
    let mut environments = Vec::new();
    if let Some(nodes) = nodes {
        let reached = nodes.reach(cancel, observer).await?;
        let FromNodes { environments: made, target, image } =
            reached.open(&order, containers, settings, cancel, observer).await?;
        let requested = RequestedPlan {
            // A cluster's nodes may know one image by several IDs; what it compiles is held against the journal.
            image: image.map(Some),
            runtime: Some(target.runtime),
            triton: Some(target.triton),
            ..RequestedPlan::default()
        };
        requested.hold_against(&plan, dir)?;
        environments = made;
    }
    Ok(Begun::Run(Box::new(BegunRun { plan, device, headline, dir: open, environments })))
}

/// The plan a run was started with; flags that say otherwise are refused, not ignored.
fn recorded_plan(
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
        // Known once an engine was asked.
        image: None,
    };
    requested.hold_against(&plan, dir)?;
    let split = Parallelism::new(plan.model.tp, plan.model.ep)?;
    let headline = headline(&plan.model.name, split, &plan.shape, &device);
    Ok((plan, device, headline))
}
