//! What serves models.

use crate::cli::bench::args::{ModelsArgs, PlanArgs};
use crate::commands::bench::serving::models::ModelsSettings;
use crate::commands::bench::serving::plan::LaunchPlanSettings;

pub(in crate::cli::bench) fn models(args: ModelsArgs) -> ModelsSettings {
    let ModelsArgs { cluster, profiles, json } = args;
    ModelsSettings { profiles, cluster, json }
}

pub(in crate::cli::bench) fn plan(args: PlanArgs) -> LaunchPlanSettings {
    let PlanArgs { model, cluster, node, offline, release, profiles, dry_run, json } = args;
    LaunchPlanSettings { model, cluster, nodes: node, offline, release, profiles, dry_run, json }
}
