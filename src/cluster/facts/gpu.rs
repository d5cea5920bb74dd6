//! GPUs, as nvidia-smi tells them.

use serde::Serialize;

use super::{Doubts, NodeReading};
use crate::host::ask::beginning;

/// A GPU. Its memory is not asked for: where it has none of its own, the node's is what counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Gpu {
    /// The device's name, as torch has it too.
    pub(crate) name: String,
    /// Compute capability: `12.1`.
    pub(crate) compute_capability: Option<String>,
    /// The driver's version.
    pub(crate) driver: Option<String>,
    /// The clock of its multiprocessors now, which says nothing of a GPU that rests, MHz.
    pub(crate) clock_mhz: Option<f64>,
    /// The highest clock it says it may reach, MHz.
    pub(crate) max_clock_mhz: Option<f64>,
    /// Its temperature, degrees Celsius.
    pub(crate) temperature_c: Option<f64>,
    /// The power it draws, W.
    pub(crate) power_w: Option<f64>,
}

impl Gpu {
    /// Whether its memory is the node's: GB10 and Thor have none of their own.
    pub(crate) fn shares_memory(&self) -> bool {
        ["GB10", "Thor"].iter().any(|name| self.name.contains(name))
    }
}

/// The node's GPUs: a line each, with the fields that the reader asked for.
pub(super) fn all(reading: &NodeReading, doubts: &mut Doubts) -> Vec<Gpu> {
    let Some(text) = reading.output("nvidia_smi", doubts) else { return Vec::new() };
    let mut gpus = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[name, capability, driver, clock, max_clock, temperature, power] = &fields[..] else {
            doubts.add(
                "nvidia_smi",
                format!("`{}` has not the 7 fields asked for", beginning(line.as_bytes())),
            );
            continue;
        };
        let mut number = |field: &str, text: &str| {
            let text = known(text)?;
            let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
            if number.is_none() {
                doubts.add("nvidia_smi", format!("{field}: `{}` is no number", beginning(text.as_bytes())));
            }
            number
        };
        gpus.push(Gpu {
            clock_mhz: number("clocks.sm", clock),
            max_clock_mhz: number("clocks.max.sm", max_clock),
            temperature_c: number("temperature.gpu", temperature),
            power_w: number("power.draw", power),
            compute_capability: number("compute_cap", capability).map(|_| capability.to_owned()),
            driver: known(driver).map(str::to_owned),
            name: name.to_owned(),
        });
    }
    gpus
}

/// A field, unless it is one of the words for what the device does not tell.
fn known(text: &str) -> Option<&str> {
    let word = text.trim_matches(['[', ']']);
    (!matches!(word, "" | "N/A" | "Not Supported" | "Not Available")).then_some(text)
}
