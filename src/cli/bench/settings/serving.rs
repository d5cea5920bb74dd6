//! What serves models.

use crate::cli::bench::args::{
    AskedArgs, DownArgs, LogsArgs, ModelsArgs, PlanArgs, StartArgs, StatusArgs, SwitchArgs, UpArgs,
};
use crate::commands::bench::serving::down::DownSettings;
use crate::commands::bench::serving::logs::LogsSettings;
use crate::commands::bench::serving::models::ModelsSettings;
use crate::commands::bench::serving::nodes::NodesSettings;
use crate::commands::bench::serving::plan::LaunchPlanSettings;
use crate::commands::bench::serving::planning::PlanningSettings;
use crate::commands::bench::serving::status::StatusSettings;
use crate::commands::bench::serving::up::UpSettings;

pub(in crate::cli::bench) fn models(args: ModelsArgs) -> ModelsSettings {
    let ModelsArgs { cluster, profiles, json } = args;
    ModelsSettings { profiles, cluster, json }
}

pub(in crate::cli::bench) fn plan(args: PlanArgs) -> LaunchPlanSettings {
    let PlanArgs { model, cluster, node, offline, release, profiles, dry_run, json } = args;
    let planning = PlanningSettings { model, cluster, nodes: node, release, profiles };
    LaunchPlanSettings { planning, offline, dry_run, json }
}

pub(in crate::cli::bench) fn up(UpArgs { start }: UpArgs) -> UpSettings {
    started(start, false)
}

pub(in crate::cli::bench) fn switch(SwitchArgs { start }: SwitchArgs) -> UpSettings {
    started(start, true)
}

fn started(args: StartArgs, instead: bool) -> UpSettings {
    let StartArgs { model, cluster, node, release, profiles, startup_timeout, require_tuned, json } = args;
    let planning = PlanningSettings { model, cluster, nodes: node, release, profiles };
    UpSettings { planning, startup_timeout, require_tuned, instead, json }
}

fn asked(AskedArgs { cluster, node }: AskedArgs) -> NodesSettings {
    NodesSettings { cluster, nodes: node }
}

pub(in crate::cli::bench) fn status(StatusArgs { asked: nodes, json }: StatusArgs) -> StatusSettings {
    StatusSettings { nodes: asked(nodes), json }
}

pub(in crate::cli::bench) fn logs(LogsArgs { asked: nodes, follow, lines }: LogsArgs) -> LogsSettings {
    // At most 100,000.
    LogsSettings { nodes: asked(nodes), lines: usize::try_from(lines).unwrap_or(usize::MAX), follow }
}

pub(in crate::cli::bench) fn down(DownArgs { asked: nodes, json }: DownArgs) -> DownSettings {
    DownSettings { nodes: asked(nodes), json }
}
