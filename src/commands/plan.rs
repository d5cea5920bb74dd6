//! `sparktune plan`: what tuning a model means: shape, files, space, time. Writes nothing.

use serde_json::json;

use super::subject::{Subject, SubjectSettings, grouped};
use super::{CommandResult, Output, OutputError, Verdict};
use crate::artifact::ConfigName;
use crate::events::{Event, Observer};
use crate::failure::Failure;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::kernel::{shared_memory, space};
use crate::model::Role;
use crate::tuner::estimate::{self, Estimate, Roofline};

/// What the user said.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// Model, device and target.
    pub subject: SubjectSettings,
    /// The keys, where given.
    pub batch_sizes: Option<Vec<u32>>,
    /// Nodes that share the work.
    pub nodes: u32,
    /// Print one JSON object.
    pub json: bool,
}

/// Show the plan.
pub async fn run(
    settings: &PlanSettings,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let subject = Subject::resolve(&settings.subject).await?;
    for warning in &subject.geometry.warnings {
        observer.on(&Event::Warning(warning.to_string()));
    }
    let Subject { geometry, device, target, .. } = &subject;
    let shape = &geometry.shape;
    let runtime = target.runtime;
    let batch_sizes = settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec());
    let configs = space::configs(&shape.quantization);
    let tiles = space::tiles(&configs);
    let limit = device.shared_memory_per_block;
    let fits = |tile| shared_memory::required_bytes(tile, &shape.quantization) <= limit;
    let fit = tiles.iter().filter(|tile| fits(tile)).count();
    let [up, down] =
        Role::BOTH.map(|role| ConfigName::for_shape(shape, device, runtime, role).file_name(runtime));
    let down = runtime.reads_down_file().then_some(down);
    let rooflines = estimate::rooflines(shape, device, &batch_sizes);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let estimates = estimate::estimates(shape, device, runtime, &batch_sizes, settings.nodes, jobs);
    let defaults: Vec<_> = batch_sizes
        .iter()
        .map(|&batch_size| {
            let config = runtime.default_config(shape, batch_size, limit);
            let bytes = shared_memory::required_bytes(&config.tile(), &shape.quantization);
            (config, bytes)
        })
        .collect();

    if settings.json {
        let by_batch_size: Vec<_> = rooflines
            .iter()
            .zip(&defaults)
            .map(|(roofline, (config, bytes))| {
                json!({
                    "batch_size": roofline.batch_size,
                    "roofline_up_us": roofline.up_us,
                    "roofline_down_us": roofline.down_us,
                    "default": config,
                    "default_shared_bytes": bytes,
                    "default_fits": *bytes <= limit,
                })
            })
            .collect();
        let value = json!({
            "model": subject.name,
            "architecture": geometry.architecture,
            "tp": geometry.parallelism.tp(),
            "ep": geometry.parallelism.ep(),
            "shape": shape,
            "device": { "id": device.id, "name": device.name, "shared_memory_per_block": limit },
            "target": target,
            "files": { "up": up, "down": down },
            "directory": target.triton.directory(),
            "looked_up_in": places(&subject),
            "space": { "configs": configs.len(), "tiles": tiles.len(), "fit": fit },
            "batch_sizes": by_batch_size,
            "nodes": settings.nodes,
            "estimates": estimates,
            "warnings": geometry.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        out.json(&value).map_err(OutputError)?;
        return Ok(Verdict::Done);
    }
    text(&subject, &up, down.as_deref(), &rooflines, &defaults, &estimates, settings.nodes, out, |out| {
        let line = format!(
            "  space   {} configs -> {} tiles -> {fit} fit into {} B",
            grouped(configs.len() as u64),
            tiles.len(),
            grouped(limit)
        );
        out.line(&line)
    })?;
    Ok(Verdict::Done)
}

/// Where the runtime looks for the files, as people would write it.
fn places(subject: &Subject) -> Vec<String> {
    let runtime = subject.target.runtime;
    let folder = subject.target.triton.directory();
    if runtime.reads_down_file() {
        vec![
            format!("${}/configs/{folder}/", runtime.config_dir_variable()),
            format!("{}/configs/{folder}/", runtime.config_module_dir()),
        ]
    } else {
        vec![
            format!("${}/", runtime.config_dir_variable()),
            format!("{}/configs/", runtime.config_module_dir()),
        ]
    }
}

#[expect(clippy::too_many_arguments, reason = "one page of text is made of these parts")]
fn text(
    subject: &Subject,
    up: &str,
    down: Option<&str>,
    rooflines: &[Roofline],
    defaults: &[(crate::kernel::KernelConfig, u32)],
    estimates: &[Estimate],
    nodes: u32,
    out: &mut dyn Output,
    space_line: impl Fn(&mut dyn Output) -> std::io::Result<()>,
) -> Result<(), Box<dyn Failure>> {
    let limit = subject.device.shared_memory_per_block;
    let mut lines = vec![format!("  {}", subject.headline()), format!("  target  {}", subject.target)];
    lines.push(format!("  up      {up}"));
    lines.extend(down.map(|down| format!("  down    {down}")));
    lines.extend(places(subject).iter().map(|place| format!("  in      {place}")));
    for line in lines {
        out.line(&line).map_err(OutputError)?;
    }
    space_line(out).map_err(OutputError)?;
    out.line("").map_err(OutputError)?;
    let rows: Vec<Vec<String>> = rooflines
        .iter()
        .zip(defaults)
        .map(|(roofline, (config, bytes))| {
            vec![
                roofline.batch_size.to_string(),
                format!("{:.1}", roofline.up_us),
                format!("{:.1}", roofline.down_us),
                config.to_string(),
                bytes.to_string(),
                if *bytes <= limit { "fits".into() } else { "crashes".into() },
            ]
        })
        .collect();
    out.table(
        &["M", "roofline up us", "roofline down us", "runtime's default", "shared B", "default"],
        &rows,
    )
    .map_err(OutputError)?;
    out.line("").map_err(OutputError)?;
    let rows: Vec<Vec<String>> = estimates
        .iter()
        .map(|estimate| {
            vec![
                estimate.strategy.to_owned(),
                grouped(estimate.launches as u64),
                grouped(estimate.compilations),
                duration(estimate.seconds),
                estimate.what.to_owned(),
            ]
        })
        .collect();
    let wall = format!("estimate, {nodes} node{}", if nodes == 1 { "" } else { "s" });
    out.table(&["strategy", "launches", "compilations", &wall, "what it does"], &rows)
        .map_err(OutputError)?;
    out.line("  (estimates of the cost model; nothing here was measured on the device)")
        .map_err(OutputError)?;
    Ok(())
}

/// `2 h 13 min`, `7 min`, `42 s`
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
