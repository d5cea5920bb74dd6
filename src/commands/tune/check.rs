//! `sparktune check`: a verdict for every entry of config files, with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::check::{self, CheckSubject, FileReport, Finding, Rules, Severity};
use crate::artifact::config_file::ConfigFileError;
use crate::artifact::{ConfigFile, ConfigName, Manifest, manifest};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::device::DeviceCatalogue;
use crate::events::Observer;
use crate::failure::{Failure, Kind};
use crate::runtime::{Runtime, Target, TritonVersion};
use crate::shape::{Role, Tile};
use crate::tuner::session::{CompilerSettings, Session, SessionJob};
use crate::worker::protocol::{CompileOutcome, LaunchShape, Unit};

/// What the user said.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Judge against this device.
    pub device: Option<String>,
    /// Judge by this runtime's rules.
    pub runtime: Option<Runtime>,
    /// The Triton that will run.
    pub triton: Option<TritonVersion>,
    /// Also compile every entry.
    pub compile: Option<CompilerSettings>,
    /// The user's own profiles.
    pub profiles: Option<PathBuf>,
    /// Show notes and warnings too.
    pub verbose: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// A path that cannot be walked.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`: {source}", path = path.display())]
pub struct WalkError {
    path: PathBuf,
    source: std::io::Error,
}

impl Failure for WalkError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// Folders without a config file: a check of nothing proves nothing.
#[derive(Debug, thiserror::Error)]
#[error("no config files (E=...json) below {}", list(paths))]
pub struct NothingToCheck {
    paths: Vec<PathBuf>,
}

impl Failure for NothingToCheck {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    names.join(", ")
}

/// Check the files.
pub async fn run(
    settings: &CheckSettings,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let devices = super::subject::devices(settings.profiles.as_deref())?;
    let device = settings.device.as_deref().map(|query| devices.find(query)).transpose()?;
    let rules = Rules {
        device: device.as_ref(),
        runtime: settings.runtime,
        triton: settings.triton,
        devices: &devices,
    };
    let files = config_files(&settings.paths)?;
    if files.is_empty() {
        return Err(NothingToCheck { paths: settings.paths.clone() }.into());
    }
    let mut reports: Vec<FileReport> = files.iter().map(|path| check_file(path, &rules)).collect();
    if let Some(compiler) = &settings.compile {
        compile(&mut reports, compiler, &rules, cancel, observer).await?;
    }
    print(settings, &reports, out)?;
    if !reports.iter().all(FileReport::passes) {
        return Ok(Verdict::CheckSaidNo);
    }
    // Whoever asks for the compiler's word must not take its silence for a yes.
    let silent = reports.iter().filter(|report| report.findings.iter().any(compiler_was_silent)).count();
    if settings.compile.is_some() && silent > 0 {
        return Err(NotCompiled { files: silent }.into());
    }
    Ok(Verdict::Done)
}

/// Whether a finding says that something was not compiled, or not to an end.
fn compiler_was_silent(finding: &Finding) -> bool {
    ["not-compiled", "not-judged", "tma-not-judged"].contains(&finding.code)
}

/// `--compile` could not have the compiler's word on everything.
#[derive(Debug, thiserror::Error)]
#[error("nothing failed, but the compiler had no say on all of {files} file{}", if *files == 1 { "" } else { "s" })]
pub struct NotCompiled {
    files: usize,
}

impl Failure for NotCompiled {
    fn kind(&self) -> Kind {
        Kind::Incomplete
    }

    fn hint(&self) -> Option<String> {
        Some("--verbose says which and why: a missing manifest, a time limit, or a TMA variant".into())
    }
}

/// The config files at or below `paths`, each once, in order.
pub fn config_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, WalkError> {
    let mut files = Vec::new();
    for path in paths {
        walk(path, true, &mut files)?;
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The config files at or below `path`. A file that was named is one whatever it is called.
fn walk(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), WalkError> {
    let io = |source| WalkError { path: path.to_owned(), source };
    // Links are followed to files but not to folders, so that no loop is walked.
    let kind = if named { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) }.map_err(io)?;
    if kind.is_dir() {
        for entry in std::fs::read_dir(path).map_err(io)? {
            walk(&entry.map_err(io)?.path(), false, files)?;
        }
        return Ok(());
    }
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if named || (name.starts_with("E=") && name.ends_with(".json") && !manifest::is_manifest(path)) {
        files.push(path.to_owned());
    }
    Ok(())
}

/// Judge the file at `path`.
pub fn check_file(path: &Path, rules: &Rules<'_>) -> FileReport {
    let text = match ConfigFile::read_bytes(path) {
        Ok(text) => text,
        Err(ConfigFileError::Read { source, .. }) => {
            return check::unreadable(path, "unreadable", source.to_string());
        }
        Err(ConfigFileError::Problems { problems, .. }) => {
            let message = problems.first().map(ToString::to_string).unwrap_or_default();
            return check::unreadable(path, "too-large", message);
        }
    };
    let parent = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    let folder = parent.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let sibling = sibling(path);
    check::check(
        &CheckSubject {
            path,
            folder: folder.as_deref(),
            text: &text,
            manifest: Manifest::read(&manifest::path_beside(path)),
            sibling: sibling.as_ref(),
        },
        rules,
    )
}

/// The sound entries of the other role's file beside `path`.
fn sibling(path: &Path) -> Option<ConfigFile> {
    let (name, spelling) = ConfigName::parse(&path.file_name()?.to_string_lossy()).ok()?;
    // Only SGLang reads two files, and spells them its own way.
    if name.role == Role::Up || spelling == Some(crate::artifact::name::Spelling::Vllm) {
        return None;
    }
    let text = ConfigFile::read_bytes(&path.with_file_name(name.sibling().to_string())).ok()?;
    Some(ConfigFile::parse(&text).0)
}

/// What a compilation depends on besides the unit: files that share it share a worker and its results.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    target: Target,
    device: String,
    shape: LaunchShape,
}

/// Compile every sound entry of the files that have a manifest, and add what the compiler says.
async fn compile(
    reports: &mut [FileReport],
    settings: &CompilerSettings,
    rules: &Rules<'_>,
    cancel: CancellationToken,
    observer: &mut dyn Observer,
) -> Result<(), Box<dyn Failure>> {
    let mut groups: Vec<(Group, Vec<usize>)> = Vec::new();
    for (index, report) in reports.iter_mut().enumerate() {
        let manifest = Manifest::read(&manifest::path_beside(&report.path)).ok().flatten();
        let Some(manifest) = manifest else {
            report.findings.push(Finding {
                severity: Severity::Warning,
                code: "not-compiled",
                key: None,
                message: "no manifest says for which K and top-k; it was not compiled".into(),
            });
            continue;
        };
        let group = Group {
            target: Target {
                runtime: rules.runtime.unwrap_or(manifest.target.runtime),
                triton: rules
                    .triton
                    .or(rules.runtime.map(Runtime::default_triton))
                    .unwrap_or(manifest.target.triton),
            },
            device: rules.device.map_or(manifest.device.id, |device| device.id.clone()),
            shape: LaunchShape::new(&manifest.shape, manifest.model.ep),
        };
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, members)) => members.push(index),
            None => groups.push((group, vec![index])),
        }
    }
    for (group, members) in groups {
        let outcomes =
            compile_group(&group, &members, reports, settings, rules.devices, &cancel, observer).await?;
        let device = rules.devices.find(&group.device)?;
        for index in members {
            let report = &mut reports[index];
            for (role, key, tile) in kernels_of(&report.path) {
                let unit = Unit::of(role, &tile);
                let (mut severity, mut code) = (Severity::Crash, "compiler");
                let said = match outcomes.get(&unit.unit) {
                    Some(CompileOutcome::Compiled(compiled))
                        if compiled.shared_bytes <= device.shared_memory_per_block =>
                    {
                        continue;
                    }
                    Some(CompileOutcome::Compiled(compiled)) => format!(
                        "compiled, {tile} takes {} bytes of shared memory, {device} has {}",
                        compiled.shared_bytes, device.shared_memory_per_block
                    ),
                    Some(CompileOutcome::Failed(failure)) if failure.reason.is_about_the_kernel() => {
                        format!("{tile} does not compile: {}: {}", failure.reason.name(), failure.message)
                    }
                    Some(CompileOutcome::Failed(failure)) => {
                        (severity, code) = (Severity::Warning, "not-judged");
                        format!("{tile} could not be judged: {}: {}", failure.reason.name(), failure.message)
                    }
                    None => format!("{tile} was not compiled"),
                };
                report.findings.push(Finding { severity, code, key: Some(key.to_string()), message: said });
            }
            report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        }
    }
    Ok(())
}

async fn compile_group(
    group: &Group,
    members: &[usize],
    reports: &[FileReport],
    settings: &CompilerSettings,
    devices: &DeviceCatalogue,
    cancel: &CancellationToken,
    observer: &mut dyn Observer,
) -> Result<BTreeMap<String, CompileOutcome>, Box<dyn Failure>> {
    let device = devices.find(&group.device)?;
    let job = SessionJob {
        compiler: settings,
        environments: &[],
        target: group.target,
        device: &device,
        shape: group.shape,
        timing: None,
    };
    let session = Session::open(&job, cancel, observer).await?;
    let mut units: Vec<Unit> = Vec::new();
    for &index in members {
        for (role, _, tile) in kernels_of(&reports[index].path) {
            let unit = Unit::of(role, &tile);
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
    }
    Ok(session.compile(units, observer).await?)
}

/// The kernels behind a file's sound entries.
fn kernels_of(path: &Path) -> Vec<(Role, u32, Tile)> {
    let role = path
        .file_name()
        .and_then(|name| ConfigName::parse(&name.to_string_lossy()).ok())
        .map_or(Role::Up, |(name, _)| name.role);
    let Ok(text) = ConfigFile::read_bytes(path) else { return Vec::new() };
    let (file, _) = ConfigFile::parse(&text);
    file.entries().iter().map(|(key, entry)| (role, *key, entry.config.tile())).collect()
}

fn print(
    settings: &CheckSettings,
    reports: &[FileReport],
    out: &mut dyn Output,
) -> Result<(), Box<dyn Failure>> {
    let failed = reports.iter().filter(|report| !report.passes()).count();
    if settings.json {
        let files: Vec<_> = reports
            .iter()
            .map(|report| {
                let mut value = json!(report);
                value["verdict"] =
                    report.worst().filter(|worst| worst.fails()).map_or("ok", Severity::name).into();
                value
            })
            .collect();
        let value = json!({ "ok": failed == 0, "files": files, "failed": failed });
        return Ok(out.json(&value).map_err(OutputError)?);
    }
    let mut lines = Vec::new();
    for report in reports {
        let worst = report.worst().filter(|worst| worst.fails());
        let verdict = worst.map_or("ok", Severity::name);
        lines.push(format!("{verdict:12}  {} ({} entries)", report.path.display(), report.entries));
        for finding in &report.findings {
            if !settings.verbose && !finding.severity.fails() {
                continue;
            }
            let key = finding.key.as_ref().map(|key| format!("[{key}] ")).unwrap_or_default();
            lines.push(format!("    {}: {key}{}", finding.severity.name(), finding.message));
        }
    }
    let warnings = reports
        .iter()
        .flat_map(|report| &report.findings)
        .filter(|finding| finding.severity == Severity::Warning)
        .count();
    let mut last = format!("{} files, {} ok, {failed} not", reports.len(), reports.len() - failed);
    if warnings > 0 && !settings.verbose {
        last += &format!(", {warnings} warnings (--verbose shows them)");
    }
    lines.push(last);
    for line in lines {
        out.line(&line).map_err(OutputError)?;
    }
    Ok(())
}
