//! The file of a run, of what is tuned: checked, written whole, described.

use std::collections::BTreeMap;
use std::path::Path;

use super::plan::StockPlan;
use super::record::Tuned;
use crate::artifact::check::{CheckSubject, Rules, Severity, as_launched, check};
use crate::artifact::manifest::{
    self, FORMAT, Manifest, ManifestEntry, ManifestStock, ManifestTuned, Source,
};
use crate::artifact::{ConfigFile, ConfigName, Evidence};
use crate::device::{Device, DeviceCatalogue};
use crate::fs::{sha256_hex, write_atomic};
use crate::kernel::shared_memory;
use crate::shape::Role;
use crate::tuner::write::{WriteError, Written};

/// A choice of the script that would do harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsafe {
    /// Its batch size.
    pub batch_size: u32,
    /// What `sparktune check` says of it.
    pub why: String,
}

/// The name under which the server looks for the file.
pub(crate) fn file_name(plan: &StockPlan, device: &Device) -> String {
    let runtime = plan.target.runtime;
    // One file: the script times both projections with one config, and every release takes it for both.
    ConfigName::for_shape(&plan.shape, device, runtime, Role::Up).file_name(runtime)
}

/// Write what is tuned below `run_dir`, without what is unsafe. Where nothing is left there is no file.
pub(crate) fn write(
    plan: &StockPlan,
    device: &Device,
    tuned: &BTreeMap<u32, Tuned>,
    run_dir: &Path,
) -> Result<(Option<Written>, Vec<Unsafe>), WriteError> {
    let (_, all) = describe(plan, device, tuned.values());
    let left_out = judge(plan, device, &all);
    let sound = tuned.values().filter(|tuned| left_out.iter().all(|it| it.batch_size != tuned.batch_size));
    let (manifest, text) = describe(plan, device, sound);
    if manifest.entries.is_empty() {
        return Ok((None, left_out));
    }
    let folder = plan.target.folder();
    fs_err::create_dir_all(run_dir.join(&folder))?;
    let path = run_dir.join(&folder).join(&manifest.file);
    write_atomic(&path, text.as_bytes())?;
    write_atomic(&manifest::path_beside(&path), manifest.render().as_bytes())?;
    ConfigFile::read(&path)?;
    let evidence = Evidence::Predicted;
    let path = format!("{folder}/{}", manifest.file);
    Ok((Some(Written { role: Role::Up, path, sha256: manifest.sha256, evidence }), left_out))
}

/// The entries of a file that fail a check, with the worst that was found.
fn judge(plan: &StockPlan, device: &Device, text: &str) -> Vec<Unsafe> {
    let name = file_name(plan, device);
    let folder = plan.target.folder();
    let manifest = Ok(None);
    let subject = CheckSubject {
        path: Path::new(&name),
        folder: Some(&folder),
        text: text.as_bytes(),
        manifest,
        sibling: None,
    };
    let devices = DeviceCatalogue::embedded();
    let target = plan.target;
    let rules =
        Rules { device: Some(device), runtime: Some(target.runtime), triton: Some(target.triton), devices };
    let report = check(&subject, &rules);
    let mut found: BTreeMap<u32, String> = BTreeMap::new();
    // Worst first.
    for finding in report.findings.iter().filter(|finding| Severity::fails(finding.severity)) {
        if let Some(key) = finding.key.as_ref().and_then(|key| key.parse().ok()) {
            found.entry(key).or_insert_with(|| finding.message.clone());
        }
    }
    found.into_iter().map(|(batch_size, why)| Unsafe { batch_size, why }).collect()
}

/// The manifest of these choices, and the text of their file.
fn describe<'a>(
    plan: &StockPlan,
    device: &Device,
    tuned: impl Iterator<Item = &'a Tuned>,
) -> (Manifest, String) {
    let entries: BTreeMap<u32, ManifestEntry> = tuned
        .map(|Tuned { on, batch_size, config, seconds, file: _ }| {
            let (quantization, runtime) = (&plan.shape.quantization, Some(plan.target.runtime));
            let launched = as_launched(config, quantization, runtime);
            let bytes = shared_memory::required_bytes(&launched.tile(), quantization);
            let entry = ManifestEntry {
                // The script tells neither times nor allocations: this is what can be backed.
                evidence: Evidence::Predicted,
                source: Source::Stock,
                default_replaced: None,
                config: *config,
                shared_bytes: bytes,
                registers: None,
                spill_bytes: None,
                binary_sha256: None,
                tuned: Some(ManifestTuned { node: on.clone(), seconds: *seconds }),
                measured: None,
                predicted_us: None,
            };
            (*batch_size, entry)
        })
        .collect();
    let text = ConfigFile::new(entries.iter().map(|(key, entry)| (*key, entry.config))).render();
    let manifest = Manifest {
        format: FORMAT,
        file: file_name(plan, device),
        sha256: sha256_hex(text.as_bytes()),
        role: Role::Up,
        model: plan.model.of_manifest(),
        also_for: Vec::new(),
        shape: plan.shape,
        device: device.into(),
        target: plan.target,
        compiler: None,
        policy: "stock".to_owned(),
        stock: Some(ManifestStock {
            script_sha256: plan.script.sha256.clone(),
            helper_sha256: plan.script.helper_sha256.clone(),
            release: plan.release.clone(),
            arguments: plan.arguments.clone(),
        }),
        tool: format!("sparktune {}", env!("CARGO_PKG_VERSION")),
        created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        entries,
    };
    (manifest, text)
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{plan, vllm_plan};
    use super::*;
    use crate::shape::{Dtype, Quantization, Tile};
    use crate::tuner::run::tests::gb10;

    fn tuned(batch_size: u32, block_size_n: u32, num_stages: u32) -> (u32, Tuned) {
        let tile = Tile { block_size_m: 128, block_size_n, block_size_k: 128, num_warps: 8, num_stages };
        let config = tile.with_group(1);
        let on = "n1".parse().unwrap();
        (batch_size, Tuned { on, batch_size, config, seconds: 12.5, file: "x.json".into() })
    }

    #[test]
    fn what_is_tuned_is_merged_and_what_would_crash_is_left_out_and_told() {
        let dir = tempfile::tempdir().unwrap();
        // 147,456 bytes of 101,376.
        let all = BTreeMap::from([tuned(1, 64, 2), tuned(64, 256, 4), tuned(4096, 128, 3)]);
        let (written, left_out) = write(&plan(&[1, 64, 4096]), &gb10(), &all, dir.path()).unwrap();
        let [Unsafe { batch_size: 64, why }] = &left_out[..] else { panic!("{left_out:?}") };
        assert!(why.contains("147456 bytes of shared memory"), "{why}");
        let path = dir.path().join(written.unwrap().path);
        let keys: Vec<u32> = ConfigFile::read(&path).unwrap().entries().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [1, 4096]);
        let manifest = Manifest::read(&manifest::path_beside(&path)).unwrap().unwrap();
        assert_eq!(manifest.contradiction(), None);
        assert_eq!(manifest.policy, "stock");
        assert_eq!(manifest.stock.unwrap().script_sha256, plan(&[1]).script.sha256);
        let entry = &manifest.entries[&1];
        assert_eq!((entry.source, entry.evidence), (Source::Stock, Evidence::Predicted));
        let tuned = entry.tuned.as_ref().unwrap();
        assert_eq!((tuned.node.as_str(), tuned.seconds), ("n1", 12.5));
    }

    #[test]
    fn a_file_for_vllm_lies_in_no_folder_of_a_triton_and_is_held_against_what_vllm_launches() {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = vllm_plan(&[1, 64]);
        plan.shape.quantization = Quantization {
            block_shape: Some("128,128".parse().unwrap()),
            ..Quantization::none(Dtype::Fp8W8a8)
        };
        // vLLM cuts BLOCK_SIZE_K to the scale block: 256 of it would need twice what there is.
        let mut wide = tuned(64, 128, 3);
        wide.1.config.block_size_k = 256;
        let (written, left_out) =
            write(&plan, &gb10(), &BTreeMap::from([tuned(1, 64, 2), wide]), dir.path()).unwrap();
        assert_eq!(left_out, []);
        let path = "vllm/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128,128].json";
        assert_eq!(written.unwrap().path, path);
        let manifest = Manifest::read(&manifest::path_beside(&dir.path().join(path))).unwrap().unwrap();
        assert_eq!(manifest.contradiction(), None);
        assert_eq!(manifest.stock.unwrap().release, plan.release);
        assert_eq!(manifest.entries[&64].config.block_size_k, 256, "as the script chose it");
    }

    #[test]
    fn where_nothing_is_safe_there_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (written, left_out) =
            write(&plan(&[64]), &gb10(), &BTreeMap::from([tuned(64, 256, 4)]), dir.path()).unwrap();
        assert_eq!((written, left_out.len()), (None, 1));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
