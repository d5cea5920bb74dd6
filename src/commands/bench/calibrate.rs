//! `sparkbench calibrate`: what this client can measure on this machine.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bench::calibrate::{CalibrationStep, Errors, step};
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{LoadEvent, Observer};
use crate::failure::{Failure, Kind};

/// Streams at once, step by step: 50 tokens a second each.
const STREAMS: [u32; 9] = [1, 16, 64, 128, 256, 512, 1024, 2048, 4096];

/// Tokens of each stream: four seconds.
const TOKENS: u32 = 200;

/// The same with `--quick`: as many streams at most, and tokens.
const QUICK: (u32, u32) = (256, 50);

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CalibrateSettings {
    /// Fewer steps.
    pub quick: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Stopped before the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the last step")]
pub(crate) struct CalibrationStopped;

impl Failure for CalibrationStopped {
    fn kind(&self) -> Kind {
        Kind::Interrupted
    }
}

/// Measure one load after the other against a mock server in this process, and print how far the figures are
/// off what it really sent.
pub(crate) async fn run(
    settings: CalibrateSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let (most, tokens) = if settings.quick { QUICK } else { (u32::MAX, TOKENS) };
    let mut steps = Vec::new();
    for streams in STREAMS.into_iter().filter(|streams| *streams <= most) {
        observer.say(LoadEvent::Calibrating { streams });
        let done = step(streams, tokens, &stop).await?;
        if stop.is_cancelled() {
            return Err(CalibrationStopped.into());
        }
        observer.say(LoadEvent::Calibrated { streams, right: done.right });
        steps.push(done);
    }
    // A load counts only when every smaller one is right, too.
    let limit = steps.iter().take_while(|step| step.right).last().map(|step| step.streams);
    let printed = match settings.json {
        true => out.json(&json!({ "largest_right": limit, "steps": steps })),
        false => print(&steps, limit, out),
    };
    printed.map_err(OutputError)?;
    Ok(Verdict::Done)
}

fn print(steps: &[CalibrationStep], limit: Option<u32>, out: &mut dyn Output) -> std::io::Result<()> {
    let header = [
        "streams",
        "tok/s",
        "TTFT off p50",
        "p99",
        "ITL off p50",
        "p99",
        "loop lag p99",
        "core",
        "tok/CPU s",
        "right",
    ];
    let off = |errors: &Errors| [errors.p50, errors.p99].map(|ms| format!("{ms:+.2} ms"));
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let mut row = vec![step.streams.to_string(), (step.streams * 50).to_string()];
            row.extend(off(&step.ttft));
            row.extend(off(&step.itl));
            row.push(format!("{:.1} ms", step.client.lag_ms.p99));
            row.push(format!("{:.0} %", step.client.cpu_share * 100.0));
            row.push(format!("{:.0}", step.tokens_per_cpu_s));
            row.push(if step.right { "yes" } else { "no" }.into());
            row
        })
        .collect();
    out.table(&header, &rows)?;
    out.line("")?;
    out.line(
        "off: measured less true, where the mock server (a thread of this process) keeps the truth; right:",
    )?;
    out.line("p50 and p99 of both latencies within 1 ms and 1 %, and no request failed.")?;
    out.line(&match limit {
        Some(streams) => {
            format!(
                "largest load measured right: {streams} streams of 50 tokens/s, {} tokens/s",
                streams * 50
            )
        }
        None => "no load was measured right: other programs are using this machine, or it is too slow".into(),
    })
}
