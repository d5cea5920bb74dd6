//! `sparkbench plan`: everything that would bring a model up, on which node and why.

use tokio_util::sync::CancellationToken;

use super::plan_output::{self, Audience};
use super::planning::{Planning, PlanningSettings};
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
    let planning = Planning::read(&settings.planning)?;
    let ssh = connect::ssh(&planning.inventory);
    let plan = match settings.offline {
        true => planning.offline()?,
        false => {
            let asked = async { planning.asked(&planning.connect(&ssh).await?).await };
            cancel.run_until_cancelled(asked).await.ok_or(Stopped)??
        }
    };
    let audience = match (settings.json, settings.dry_run) {
        (true, _) => Audience::Programs,
        (false, true) => Audience::Shell,
        (false, false) => Audience::People { offline: settings.offline },
    };
    plan_output::show(&plan, &planning.nodes, ssh.settings(), audience, out)?;
    Ok(Verdict::Done)
}
