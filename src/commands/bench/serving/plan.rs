//! `sparkbench plan`: everything that would bring a model up, on which node and why.

use tokio_util::sync::CancellationToken;

use super::plan_output::{self, Audience};
use super::planning::{Planned, Planning, PlanningSettings};
use crate::cluster::connect;
use crate::commands::{CommandResult, Output, Verdict};
use crate::failure::{Failure, Kind};

/// What is planned.
#[derive(Debug)]
pub(crate) struct LaunchPlanSettings {
    /// The model, and where.
    pub(crate) planning: PlanningSettings,
    /// Ask no node: what the inventory says is all there is.
    pub(crate) offline: bool,
    /// A shell script that would do it.
    pub(crate) dry_run: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// The user stopped it.
#[derive(Debug, thiserror::Error)]
#[error("stopped; nothing was started")]
pub(super) struct Stopped;

impl Failure for Stopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

/// Plan, and show it.
pub(crate) async fn run(
    settings: &LaunchPlanSettings,
    cancel: CancellationToken,
    out: &mut dyn Output,
) -> CommandResult {
    let planned = async {
        let planning = Planning::read(&settings.planning, settings.offline).await?;
        let ssh = connect::ssh(&planning.inventory);
        Ok::<_, Box<dyn Failure>>((planning.plan(&ssh, settings.offline).await?, ssh))
    };
    let (planned, ssh) = cancel.run_until_cancelled(planned).await.ok_or(Stopped)??;
    let audience = match (settings.json, settings.dry_run) {
        (true, _) => Audience::Programs,
        (false, true) => Audience::Shell,
        (false, false) => Audience::People { offline: settings.offline },
    };
    let Planned { plan, derived, nodes, .. } = &planned;
    plan_output::show(plan, derived.as_ref(), nodes, ssh.settings(), audience, out)?;
    Ok(Verdict::Done)
}
