//! How a GPU does under a load that is made for it: its clock, what slows it down, how long two kernels take.

use super::Judgement;
use super::gpu::CAPPED_MHZ;
use super::seen::{Examined, LoadSeen, Seen};
use crate::device::Device;

/// How far nodes with the same GPU may be apart.
const APART: f64 = 0.1;
/// Below this part of the memory's bandwidth a kernel that only reads is slow, and not just unlike its maker's figure.
const SLOW: f64 = 0.5;

/// What slows a clock down, as nvml.h has it (`nvmlClocksEventReason...`), and whether that is a fault. A limit for the
/// power is how most boards run, and a limit for the clock is somebody's will.
const REASONS: [(u64, &str, bool); 7] = [
    (0x2, "a limit that somebody set", false),
    (0x4, "the power limit", false),
    (0x8, "the hardware (hot, or short of power)", true),
    (0x20, "heat, by the driver", true),
    (0x40, "heat, by the hardware", true),
    (0x80, "the power supply", true),
    (0x100, "the display's clock", false),
];

/// One answer of nvidia-smi while the GPU was busy; what it does not tell is none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    clock_mhz: Option<f64>,
    temperature_c: Option<f64>,
    reasons: Option<u64>,
}

impl Sample {
    fn of(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[clock, temperature, _power, reasons] = &fields[..] else { return None };
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        let mask = reasons.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Some(Self { clock_mhz: number(clock), temperature_c: number(temperature), reasons: mask })
    }
}

fn samples(load: &LoadSeen) -> Vec<Sample> {
    load.samples.iter().filter_map(|line| Sample::of(line)).collect()
}

fn clock_mhz(load: &LoadSeen) -> Option<f64> {
    median(samples(load).iter().filter_map(|sample| sample.clock_mhz))
}

/// The middle one, or the mean of the two there.
fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.filter(|number| number.is_finite()).collect();
    numbers.sort_by(f64::total_cmp);
    let (below, above) = (numbers.len().checked_sub(1)? / 2, numbers.len() / 2);
    Some(f64::midpoint(numbers[below], numbers[above]))
}

/// What a node's GPU did under load, where it could be tried.
fn tried(seen: &Seen) -> Option<&LoadSeen> {
    let load = seen.load.as_ref()?.as_ref().ok()?;
    load.trouble.is_none().then_some(load)
}

/// The node whose value is in the middle of those of the same GPU as `own`'s, and that value; none where there is no
/// other.
fn others(
    examined: &Examined,
    own: &LoadSeen,
    value: impl Fn(&LoadSeen) -> Option<f64>,
) -> Option<(usize, f64)> {
    let same = |(at, seen): (usize, &Seen)| {
        let load = tried(seen).filter(|load| load.name == own.name)?;
        Some((at, value(load)?))
    };
    let mut all: Vec<(usize, f64)> = examined.nodes.iter().enumerate().filter_map(same).collect();
    all.sort_by(|one, other| one.1.total_cmp(&other.1));
    (all.len() > 1).then(|| all[all.len() / 2])
}

/// Whether the clock goes up when there is something to do.
pub(super) fn clock(examined: &Examined) -> Vec<Option<Judgement>> {
    let judge = |seen: &Seen| {
        let load = match seen.load.as_ref()? {
            Ok(load) => load,
            Err(trouble) => return Some(Judgement::unknown(&trouble.says)),
        };
        if let Some(trouble) = &load.trouble {
            return Some(Judgement::unknown(trouble));
        }
        let Some(clock) = clock_mhz(load) else {
            return Some(Judgement::unknown("nvidia-smi did not say its clock while it was busy"));
        };
        let name = load.name.as_deref().unwrap_or("its GPU");
        let hottest = samples(load).iter().filter_map(|sample| sample.temperature_c).reduce(f64::max);
        let hottest = hottest.map(|celsius| format!(", {celsius:.0} \u{b0}C")).unwrap_or_default();
        let says = format!("{clock:.0} MHz under load{hottest}");
        if name.contains("GB10") && clock <= CAPPED_MHZ {
            let says = format!("{says}: it does not go up, as where USB-PD was not agreed upon");
            return Some(Judgement::failed(says).fix("pull the power supply's plug for a minute"));
        }
        Some(match others(examined, load, clock_mhz) {
            Some((at, usual)) if (clock - usual).abs() > APART * usual => {
                let of = &examined.nodes[at].node.name;
                Judgement::warning(format!(
                    "{says}, and {usual:.0} MHz on {of}: their times are not comparable"
                ))
                .fix("nvidia-smi -q -d CLOCK,PERFORMANCE, on both and under load")
            }
            _ => Judgement::ok(says),
        })
    };
    examined.nodes.iter().map(judge).collect()
}

/// What slowed the clock down meanwhile.
pub(super) fn throttling(seen: &Seen) -> Option<Judgement> {
    let masks: Vec<u64> = samples(tried(seen)?).iter().filter_map(|sample| sample.reasons).collect();
    if masks.is_empty() {
        return None;
    }
    let share = |mask: u64| 100 * masks.iter().filter(|seen| *seen & mask != 0).count() / masks.len();
    let active: Vec<&(u64, &str, bool)> =
        REASONS.iter().filter(|(mask, ..)| masks.iter().any(|seen| seen & mask != 0)).collect();
    if active.is_empty() {
        return Some(Judgement::ok("nothing slows it down"));
    }
    let shown = active.iter().map(|(mask, name, _)| format!("{name} ({} %)", share(*mask)));
    let says = format!("slowed down by {}", shown.collect::<Vec<_>>().join(", "));
    Some(match active.iter().any(|(.., fault)| *fault) {
        true => {
            Judgement::warning(says).fix("look at its air and its power supply: nvidia-smi -q -d PERFORMANCE")
        }
        false => Judgement::ok(says),
    })
}

/// Whether two kernels take what they take on the others: there is a slow state that no clock shows.
pub(super) fn kernels(examined: &Examined) -> Vec<Option<Judgement>> {
    let judge = |seen: &Seen| {
        let load = tried(seen)?;
        let (spin, gemv) = (spin_ms(load)?, gemv_ms(load)?);
        let rate = load.gemv_bytes as f64 / gemv / 1e6;
        let says = format!("spin {spin:.2} ms, gemv {gemv:.3} ms ({rate:.0} GB/s)");
        let apart = |name: &str, own: f64, value: fn(&LoadSeen) -> Option<f64>| {
            let (at, usual) = others(examined, load, value)?;
            let of = &examined.nodes[at].node.name;
            (own > usual * (1.0 + APART)).then(|| format!("{name} takes {usual:.3} ms on {of}"))
        };
        let slower = [apart("spin", spin, spin_ms), apart("gemv", gemv, gemv_ms)];
        let slower: Vec<String> = slower.into_iter().flatten().collect();
        let fix = "switch it off, pull its plug for a minute, and try again";
        if !slower.is_empty() {
            return Some(Judgement::warning(format!("{says}, and {}", slower.join(", "))).fix(fix));
        }
        let device = load.name.as_deref().and_then(|name| Device::find(name).ok());
        Some(match device.map(|device| device.bandwidth_gb_s) {
            Some(full) if rate < SLOW * full => {
                Judgement::warning(format!("{says}, where its memory does {full:.0} GB/s")).fix(fix)
            }
            _ => Judgement::ok(says),
        })
    };
    examined.nodes.iter().map(judge).collect()
}

fn spin_ms(load: &LoadSeen) -> Option<f64> {
    median(load.spin_ms.iter().copied())
}

fn gemv_ms(load: &LoadSeen) -> Option<f64> {
    median(load.gemv_ms.iter().copied())
}
