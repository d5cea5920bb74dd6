//! What a node is told to run for one batch size. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::folder;
use super::own_tuner::{OwnTuner, SEARCH_SPACE};
use super::plan::StockPlan;
use crate::kernel::{shared_memory, space};
use crate::shape::KernelConfig;
use crate::worker::script::{FOLDER, HOME, ScriptOrder};

/// Where the script lies for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScriptPlace {
    /// There, at this path.
    There(String),
    /// Nowhere yet: these files, by name, are laid out for each batch size.
    Sent(BTreeMap<String, String>),
}

/// The configs of the script's own space that fit the device, in its order: what a script that can be told is offered.
pub(super) fn feasible(plan: &StockPlan) -> Vec<KernelConfig> {
    let limit = plan.device.shared_memory_per_block;
    let quantization = &plan.shape.quantization;
    let fits = |config: &KernelConfig| shared_memory::required_bytes(&config.tile(), quantization) <= limit;
    space::configs(quantization).into_iter().filter(fits).collect()
}

/// The process for `batch_size`, run by `python`.
pub(crate) fn order(
    plan: &StockPlan,
    batch_size: u32,
    python: &str,
    place: &ScriptPlace,
    silence: Duration,
) -> ScriptOrder {
    let tuner = OwnTuner::of(plan.target.runtime);
    let mut files = BTreeMap::new();
    let script = match place {
        ScriptPlace::There(path) => path.clone(),
        ScriptPlace::Sent(sources) => {
            files.extend(
                sources.iter().map(|(name, text)| (format!("{}/{name}", folder::SCRIPT), text.clone())),
            );
            folder::path(&format!("{}/{}", folder::SCRIPT, tuner.file))
        }
    };
    if let Some(config) = plan.model_argument.config_json(tuner) {
        files.insert(format!("{}/config.json", folder::MODEL), config);
    }
    if plan.arguments.iter().any(|word| word == SEARCH_SPACE) {
        let space = serde_json::to_string(&feasible(plan)).expect("plain data always serialises");
        files.insert(folder::SEARCH_SPACE.to_owned(), space);
    }
    // -u: what it says must not wait in a buffer.
    let mut program = vec![python.to_owned(), "-u".to_owned(), script];
    program.extend(plan.arguments.iter().cloned());
    program.extend(["--batch-size".to_owned(), batch_size.to_string()]);
    ScriptOrder { home: HOME.to_owned(), files, program, environment: environment(), silence }
}

/// What keeps a script's Ray on its node, and its traces in the script's folder. Every runtime's script starts a cluster of
/// its own, unless it is told of another: then it would take every GPU of that.
fn environment() -> BTreeMap<String, Option<String>> {
    let set = |value: &str| Some(value.to_owned());
    BTreeMap::from([
        ("RAY_ADDRESS", None),
        // Sockets, logs, and the file that tells of a cluster which runs already (`ray_current_cluster`).
        ("RAY_TMPDIR", set(FOLDER)),
        // Unset, a cluster that `ray.init` starts writes a token to the home (Ray 2.60, `worker.py`), and later clusters
        // of the node then ask for it.
        ("RAY_AUTH_MODE", set("disabled")),
        // Memory that the GPU has counts as the host's: workers would be killed at 95 %.
        ("RAY_memory_monitor_refresh_ms", set("0")),
        ("RAY_USAGE_STATS_ENABLED", set("0")),
    ])
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;

    #[test]
    fn a_batch_size_is_a_process_with_its_files_and_nothing_of_other_clusters() {
        let file = "tuning_fused_moe_triton.py".to_owned();
        let place = ScriptPlace::Sent(BTreeMap::from([(file, "text".to_owned())]));
        let order = order(&plan(&[1, 64]), 64, "/opt/python", &place, Duration::from_secs(9));
        let program = order.program.join(" ");
        let begins =
            "/opt/python -u {folder}/script/tuning_fused_moe_triton.py --tune --model {folder}/model";
        assert!(program.starts_with(begins) && program.ends_with("--batch-size 64"), "{program}");
        let files: Vec<_> = order.files.keys().map(String::as_str).collect();
        assert_eq!(files, ["model/config.json", "script/tuning_fused_moe_triton.py", "search-space.json"]);
        assert_eq!(order.environment["RAY_ADDRESS"], None);
        assert_eq!(order.environment["RAY_AUTH_MODE"].as_deref(), Some("disabled"));
        let there = ScriptPlace::There("/sgl/x.py".into());
        let order = super::order(&plan(&[1]), 1, "python3", &there, Duration::from_secs(9));
        assert_eq!(order.program[2], "/sgl/x.py");
    }

    #[test]
    fn only_what_fits_is_offered_and_only_to_a_script_that_takes_it() {
        let mut plan = plan(&[1]);
        let offered = feasible(&plan);
        let all = space::configs(&plan.shape.quantization);
        assert!(!offered.is_empty() && offered.len() < all.len());
        let limit = plan.device.shared_memory_per_block;
        for config in &all {
            let bytes = shared_memory::required_bytes(&config.tile(), &plan.shape.quantization);
            assert_eq!(offered.contains(config), bytes <= limit, "{config}");
        }
        let place = ScriptPlace::There("x".into());
        let told = order(&plan, 1, "p", &place, Duration::ZERO);
        assert!(told.files["search-space.json"].starts_with(r#"[{"BLOCK_SIZE_M":16,"#));
        plan.arguments.retain(|word| word != SEARCH_SPACE);
        assert!(!order(&plan, 1, "p", &place, Duration::ZERO).files.contains_key("search-space.json"));
    }
}
