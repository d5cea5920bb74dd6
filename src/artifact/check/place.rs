//! Will the runtime find the file: its name, its folder, its device.

use super::{CheckSubject, Context, Finding, Rules, Severity, file_finding};
use crate::artifact::ConfigName;
use crate::artifact::name::Spelling;
use crate::runtime::{Runtime, TritonVersion};
use crate::shape::Role;

/// Where SGLang 0.5.4.post2 looks if the running Triton's folder lacks a file; 0.5.23 looks everywhere.
const FALLBACKS: [TritonVersion; 4] = [
    TritonVersion::new(3, 4, 0),
    TritonVersion::new(3, 3, 1),
    TritonVersion::new(3, 2, 0),
    TritonVersion::new(3, 1, 0),
];

pub(super) fn check(
    context: &Context<'_>,
    subject: &CheckSubject<'_>,
    rules: &Rules<'_>,
    findings: &mut Vec<Finding>,
) {
    match &context.name {
        Err(error) => findings.push(file_finding(Severity::Ignored, "bad-name", error.to_string())),
        Ok((name, spelling)) => {
            spelled_for(context, name, *spelling, findings);
            device(context, name, rules, findings);
            if name.block_shape.is_some() && name.dtype.is_none() {
                findings.push(file_finding(
                    Severity::Warning,
                    "block-shape-without-dtype",
                    "it names scale blocks and no quantised dtype: no known layer looks for such a name"
                        .into(),
                ));
            }
        }
    }
    folder(context, subject.folder, findings);
}

/// Whether the name is one that the runtime would ask for.
fn spelled_for(
    context: &Context<'_>,
    name: &ConfigName,
    spelling: Option<Spelling>,
    findings: &mut Vec<Finding>,
) {
    let Some(runtime) = context.runtime else { return };
    let mut ignored = |why: String| findings.push(file_finding(Severity::Ignored, "name-not-looked-up", why));
    let wanted = if runtime == Runtime::Vllm { Spelling::Vllm } else { Spelling::Sglang };
    if spelling.is_some_and(|spelling| spelling != wanted) {
        ignored(format!("{runtime} writes the block shape otherwise: {}", name.file_name(runtime)));
    }
    if name.per_channel && !runtime.names_per_channel() {
        ignored(format!("{runtime} never asks for a name with per_channel_quant"));
    }
    if name.role == Role::Down && !runtime.reads_down_file() {
        ignored(format!("{runtime} reads no _down files"));
    }
    if let Some(manifest) = context.manifest
        && let Some(device) = context.device
    {
        // The device is a matter of its own; everything else must be what the shape asks for.
        let asked = ConfigName {
            device: name.device.clone(),
            ..ConfigName::for_shape(&manifest.shape, device, runtime, name.role)
        };
        if asked != *name {
            ignored(format!(
                "for the shape its manifest describes, {runtime} looks for {}",
                asked.file_name(runtime)
            ));
        }
    }
}

fn device(context: &Context<'_>, name: &ConfigName, rules: &Rules<'_>, findings: &mut Vec<Finding>) {
    match (rules.device, context.device) {
        (Some(asked), _) if asked.file_name() != name.device => findings.push(file_finding(
            Severity::Note,
            "other-device",
            format!("made for {}, judged for {}", name.device, asked.file_name()),
        )),
        (None, None) => findings.push(file_finding(
            Severity::Warning,
            "unknown-device",
            format!(
                "device {} is not in the catalogue: what fits it was not judged; name one with --device",
                name.device
            ),
        )),
        _ => {}
    }
}

/// Whether the runtime looks into the folder the file lies in.
fn folder(context: &Context<'_>, folder: Option<&str>, findings: &mut Vec<Finding>) {
    // vLLM's folder is flat and may be called anything.
    if context.runtime == Some(Runtime::Vllm) {
        return;
    }
    // People put files into plain folders before they deploy them; one that looks like Triton's and is not
    // is a mistake.
    let looks_like_tritons = |folder: &&str| {
        folder.starts_with("triton_")
            || folder.starts_with("triton") && folder.contains(|c: char| c.is_ascii_digit())
    };
    let Some(folder) = folder.filter(looks_like_tritons) else {
        findings.push(file_finding(
            Severity::Note,
            "no-triton-folder",
            "it lies in no triton_X_Y_Z folder, the only place SGLang looks".into(),
        ));
        return;
    };
    // `triton_3_05_0` reads as a version and is no version's folder.
    let found = TritonVersion::from_directory(folder).filter(|version| version.directory() == folder);
    match (found, context.triton) {
        (None, _) => {
            let also = if stops_a_search(folder) {
                "; SGLang 0.5.23 fails to start if it has to search beside it"
            } else {
                ""
            };
            findings.push(file_finding(
                Severity::Ignored,
                "bad-folder",
                format!("{folder} is no Triton version's folder, which is called as triton_3_5_0{also}"),
            ));
        }
        (Some(found), Some(wanted)) if found != wanted => {
            let (severity, why) =
                if context.runtime == Some(Runtime::Sglang054) && !FALLBACKS.contains(&found) {
                    (Severity::Ignored, "SGLang 0.5.4.post2 never looks there")
                } else {
                    (Severity::Fallback, "it is looked into only where that has no such file")
                };
            findings.push(file_finding(
                severity,
                "other-triton",
                format!("it lies in {folder}, and Triton {wanted}'s folder is {}: {why}", wanted.directory()),
            ));
        }
        _ => {}
    }
}

/// Whether 0.5.23 raises ValueError on a folder's name: it sorts all that begin `triton_` by the whole
/// numbers that follow.
fn stops_a_search(folder: &str) -> bool {
    folder.strip_prefix("triton_").is_some_and(|version| {
        version.split(['_', '.']).any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()))
    })
}
