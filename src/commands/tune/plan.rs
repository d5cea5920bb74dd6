//! `sparktune plan`: what tuning a model means: shape, files, space, time. Writes nothing.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::installation::Named;
use super::subject::{Subject, SubjectSettings, grouped};
use crate::artifact::ConfigName;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::Observer;
use crate::kernel::shared_memory;
use crate::kernel::space::{self, STANDARD_BATCH_SIZES};
use crate::shape::{KernelConfig, Role};
use crate::span::in_words;
use crate::tuner::estimate::{self, Roofline, TuningEstimate};

/// What the user said.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// Model, device and target.
    pub subject: SubjectSettings,
    /// The keys, where given.
    pub batch_sizes: Option<Vec<u32>>,
    /// Nodes that share the work.
    pub nodes: u32,
    /// The Python whose SGLang and Triton the files are for, where given.
    pub python: Option<PathBuf>,
    /// Print one JSON object.
    pub json: bool,
}

/// Show the plan.
pub async fn run(
    settings: &PlanSettings,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let named = Named { python: settings.python.as_deref(), sglang_root: None };
    let subject = Subject::resolve_on(&settings.subject, named, observer).await?;
    for warning in &subject.geometry.warnings {
        observer.note(warning.to_string());
    }
    let page = Page::new(settings, subject);
    if settings.json { out.json(&page.json()) } else { page.text(out) }.map_err(OutputError)?;
    Ok(Verdict::Done)
}

/// Everything the plan shows, worked out.
struct Page {
    subject: Subject,
    nodes: u32,
    up: String,
    down: Option<String>,
    size: space::Size,
    batch_sizes: Vec<BatchSize>,
    estimates: Vec<TuningEstimate>,
}

/// What is known of one batch size before anything is tuned.
struct BatchSize {
    roofline: Roofline,
    default: KernelConfig,
    default_bytes: u32,
}

impl Page {
    fn new(settings: &PlanSettings, subject: Subject) -> Self {
        let (shape, device, runtime) = (&subject.geometry.shape, &subject.device, subject.target.runtime);
        let limit = device.shared_memory_per_block;
        let keys = settings.batch_sizes.clone().unwrap_or_else(|| STANDARD_BATCH_SIZES.to_vec());
        let [up, down] =
            Role::BOTH.map(|role| ConfigName::for_shape(shape, device, runtime, role).file_name(runtime));
        let batch_sizes = estimate::rooflines(shape, device, &keys)
            .into_iter()
            .map(|roofline| {
                let default = runtime.default_config(shape, roofline.batch_size, limit);
                let default_bytes = shared_memory::required_bytes(&default.tile(), &shape.quantization);
                BatchSize { roofline, default, default_bytes }
            })
            .collect();
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            nodes: settings.nodes,
            up,
            down: runtime.reads_down_file().then_some(down),
            size: space::size(&shape.quantization, limit),
            batch_sizes,
            estimates: estimate::estimates(shape, device, runtime, &keys, settings.nodes, jobs),
            subject,
        }
    }

    fn limit(&self) -> u32 {
        self.subject.device.shared_memory_per_block
    }

    fn json(&self) -> Value {
        let Subject { name, geometry, device, target } = &self.subject;
        let batch_sizes: Vec<Value> = self
            .batch_sizes
            .iter()
            .map(|BatchSize { roofline, default, default_bytes }| {
                json!({
                    "batch_size": roofline.batch_size,
                    "roofline_up_us": roofline.up_us,
                    "roofline_down_us": roofline.down_us,
                    "default": default,
                    "default_shared_bytes": default_bytes,
                    "default_fits": *default_bytes <= self.limit(),
                })
            })
            .collect();
        json!({
            "model": name,
            "architecture": geometry.architecture,
            "tp": geometry.parallelism.tp(),
            "ep": geometry.parallelism.ep(),
            "shape": geometry.shape,
            "device": {
                "id": device.id,
                "name": device.name,
                "shared_memory_per_block": self.limit(),
            },
            "target": target,
            "files": { "up": self.up, "down": self.down },
            "directory": target.triton.directory(),
            "looked_up_in": self.places(),
            "space": self.size,
            "batch_sizes": batch_sizes,
            "nodes": self.nodes,
            "estimates": self.estimates,
            "warnings": geometry.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    fn text(&self, out: &mut dyn Output) -> io::Result<()> {
        out.line(&format!("  {}", self.subject.headline()))?;
        out.line(&format!("  target  {}", self.subject.target))?;
        out.line(&format!("  up      {}", self.up))?;
        if let Some(down) = &self.down {
            out.line(&format!("  down    {down}"))?;
        }
        for place in self.places() {
            out.line(&format!("  in      {place}"))?;
        }
        let space::Size { configs, tiles, fit } = self.size;
        let limit = grouped(self.limit());
        out.line(&format!(
            "  space   {} configs -> {tiles} tiles -> {fit} fit into {limit} B",
            grouped(configs as u64)
        ))?;
        out.line("")?;
        let rows: Vec<Vec<String>> = self
            .batch_sizes
            .iter()
            .map(|BatchSize { roofline, default, default_bytes }| {
                vec![
                    roofline.batch_size.to_string(),
                    format!("{:.1}", roofline.up_us),
                    format!("{:.1}", roofline.down_us),
                    default.to_string(),
                    default_bytes.to_string(),
                    if *default_bytes <= self.limit() { "fits".into() } else { "crashes".into() },
                ]
            })
            .collect();
        let header = ["M", "roofline up us", "roofline down us", "runtime's default", "shared B", "default"];
        out.table(&header, &rows)?;
        out.line("")?;
        let rows: Vec<Vec<String>> = self
            .estimates
            .iter()
            .map(|estimate| {
                vec![
                    estimate.strategy.to_owned(),
                    grouped(estimate.launches as u64),
                    grouped(estimate.compilations),
                    in_words(estimate.seconds),
                    estimate.what.to_owned(),
                ]
            })
            .collect();
        let wall = format!("estimate, {} node{}", self.nodes, if self.nodes == 1 { "" } else { "s" });
        out.table(&["strategy", "launches", "compilations", &wall, "what it does"], &rows)?;
        out.line("  (estimates of the cost model; nothing here was measured on the device)")
    }

    /// Where the runtime looks for the files, as people would write it.
    fn places(&self) -> Vec<String> {
        let runtime = self.subject.target.runtime;
        let folder = self.subject.target.triton.directory();
        let (variable, module) = (runtime.config_dir_variable(), runtime.config_module_dir());
        vec![format!("${variable}/configs/{folder}/"), format!("{module}/configs/{folder}/")]
    }
}
