//! Reading one device profile: strict, because a wrong figure here becomes a crash on a GPU.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::Device;
use crate::failure::{Failure, Kind};
use crate::toml_text::{BadToml, from_toml};

/// The figures that must say where they are from.
pub(super) const SOURCED: [&str; 13] = [
    "name",
    "compute_capability",
    "compile_target",
    "shared_memory_per_block",
    "shared_memory_per_sm",
    "sms",
    "bandwidth_gb_s",
    "memory_gb",
    "l2_mib",
    "dense_tflops.fp8",
    "dense_tflops.int8",
    "dense_tflops.bf16",
    "dense_tflops.tf32",
];

// The bounds are wide: they catch a wrong unit (bytes for KiB, TB/s for GB/s), not a new GPU.
/// Triton supports NVIDIA GPUs from 7.0 on; no announced GPU has a major number near 20.
const CAPABILITY_MAJOR: RangeInclusive<u32> = 7..=19;
const CAPABILITY_MINOR: RangeInclusive<u32> = 0..=9;
/// 48 KiB is what every GPU since 2010 grants a block without opting in.
const SHARED_MEMORY: RangeInclusive<u32> = 49_152..=1_048_576;
const SMS: RangeInclusive<u32> = 1..=1_024;
const BANDWIDTH_GB_S: RangeInclusive<f64> = 10.0..=100_000.0;
const MEMORY_GB: RangeInclusive<f64> = 1.0..=10_000.0;
const L2_MIB: RangeInclusive<f64> = 0.25..=4_096.0;
const TFLOPS: RangeInclusive<f64> = 0.1..=1_000_000.0;

/// A device profile, or a folder of them, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceProfileError {
    /// The file or folder cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it could not be.
        source: std::io::Error,
    },
    /// Far larger than any profile.
    #[error("`{}` has {bytes} bytes; a device profile has at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Not TOML, a missing or unknown field, or a value of the wrong type.
    #[error("device profile `{file}`, {place}: {message}")]
    Shape {
        /// The file.
        file: String,
        /// The field and the line, as far as they are known.
        place: String,
        /// What is wrong, with the value and what was expected.
        message: String,
    },
    /// A value that cannot be right.
    #[error("device profile `{file}`, field `{field}`: {value} is not accepted; expected {accepted}")]
    Value {
        /// The file.
        file: String,
        /// The field.
        field: String,
        /// What it says.
        value: String,
        /// What it may say.
        accepted: String,
    },
    /// Two devices answer to the same name.
    #[error("device profile `{file}`, field `{field}`: `{value}` already means the device `{other}`")]
    Clash {
        /// The file.
        file: String,
        /// The field.
        field: String,
        /// The name both answer to.
        value: String,
        /// The id of the device that had it first.
        other: String,
    },
}

impl Failure for DeviceProfileError {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

/// The device a profile describes. `file` is the profile's name in errors; its last part without
/// `.toml` must be the id.
pub(super) fn parse(file: &str, text: &str) -> Result<Device, DeviceProfileError> {
    let device: Device = from_toml(text).map_err(|BadToml { place, message }| DeviceProfileError::Shape {
        file: file.to_owned(),
        place,
        message,
    })?;
    check(file, &device)?;
    Ok(device)
}

fn check(file: &str, device: &Device) -> Result<(), DeviceProfileError> {
    let field = Fields { file };

    let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    if device.id != stem {
        return Err(field.refuse("id", quoted(&device.id), format!("the file's own name, `{stem}`")));
    }
    field.slug("id", &device.id)?;
    for (i, alias) in device.aliases.iter().enumerate() {
        field.slug(&format!("aliases[{i}]"), alias)?;
    }
    field.reported_name("name", &device.name)?;
    for (i, name) in device.other_names.iter().enumerate() {
        field.reported_name(&format!("other_names[{i}]"), name)?;
    }

    let (major, minor) = device.compute_capability;
    field.within("compute_capability[0]", major, &CAPABILITY_MAJOR)?;
    field.within("compute_capability[1]", minor, &CAPABILITY_MINOR)?;
    let target = compile_target(device.capability());
    if device.compile_target != target {
        return Err(field.refuse(
            "compile_target",
            quoted(&device.compile_target),
            format!("`{target}`, what Triton compiles for on {major}.{minor}"),
        ));
    }

    field.within("shared_memory_per_sm", device.shared_memory_per_sm, &SHARED_MEMORY)?;
    // A block can never have more than its multiprocessor holds.
    let block = *SHARED_MEMORY.start()..=device.shared_memory_per_sm;
    field.within("shared_memory_per_block", device.shared_memory_per_block, &block)?;
    field.within("sms", device.sms, &SMS)?;
    field.within("bandwidth_gb_s", device.bandwidth_gb_s, &BANDWIDTH_GB_S)?;
    field.within("memory_gb", device.memory_gb, &MEMORY_GB)?;
    field.within("l2_mib", device.l2_mib, &L2_MIB)?;
    let rates = &device.dense_tflops;
    field.within("dense_tflops.fp8", rates.fp8, &TFLOPS)?;
    field.within("dense_tflops.int8", rates.int8, &TFLOPS)?;
    field.within("dense_tflops.bf16", rates.bf16, &TFLOPS)?;
    field.within("dense_tflops.tf32", rates.tf32, &TFLOPS)?;

    let source = |name: &str| format!("sources.\"{name}\"");
    for name in SOURCED {
        if device.sources.get(name).is_none_or(|text| text.trim().is_empty()) {
            let accepted = "a text that says where the figure is from".to_owned();
            return Err(field.refuse(&source(name), "nothing".to_owned(), accepted));
        }
    }
    if let Some(name) = device.sources.keys().find(|name| !SOURCED.contains(&name.as_str())) {
        return Err(field.refuse(&source(name), quoted(name), format!("one of {}", SOURCED.join(", "))));
    }
    Ok(())
}

/// What Triton tells ptxas to compile for.
///
/// Source: `sm_arch_from_capability` in Triton 3.5.0, 3.7.1 and 3.8.0.
fn compile_target(capability: u32) -> String {
    let suffix = if capability >= 90 { "a" } else { "" };
    format!("sm_{capability}{suffix}")
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Checks of single fields of one file.
struct Fields<'a> {
    file: &'a str,
}

impl Fields<'_> {
    fn refuse(&self, field: &str, value: String, accepted: String) -> DeviceProfileError {
        DeviceProfileError::Value { file: self.file.to_owned(), field: field.to_owned(), value, accepted }
    }

    /// NaN is within nothing, so it is refused too.
    fn within<T: PartialOrd + Display>(
        &self,
        field: &str,
        value: T,
        range: &RangeInclusive<T>,
    ) -> Result<(), DeviceProfileError> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(self.refuse(field, value.to_string(), format!("{} to {}", range.start(), range.end())))
    }

    /// What can be typed after `--device` without quotes, and be a file's name on any system.
    fn slug(&self, field: &str, text: &str) -> Result<(), DeviceProfileError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) {
            return Ok(());
        }
        let accepted = "1 to 64 lower-case letters, digits and hyphens".to_owned();
        Err(self.refuse(field, quoted(text), accepted))
    }

    /// A name becomes part of a file name between commas, so it can hold neither those nor slashes.
    fn reported_name(&self, field: &str, text: &str) -> Result<(), DeviceProfileError> {
        let allowed = |c: char| (c.is_ascii_graphic() || c == ' ') && !"/\\,=".contains(c);
        if !text.is_empty() && text.len() <= 128 && text.trim() == text && text.chars().all(allowed) {
            return Ok(());
        }
        let accepted = "the name torch.cuda.get_device_name() answers, such as \"NVIDIA GB10\": 1 to 128 \
                        printable ASCII characters but / \\ , =";
        Err(self.refuse(field, quoted(text), accepted.to_owned()))
    }
}
