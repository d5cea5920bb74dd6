//! When bytes arrived, by the kernel's clock.
//!
//! A thread that reads a thousand streams reaches the last of them some time after its bytes came, and a
//! program that takes the time when it reads reports its own delay as the server's. Linux stamps each packet as
//! the network stack takes it in (`SO_TIMESTAMPNS`, see socket(7)) and hands the stamp of the last byte read to
//! `recvmsg`. Where it does, that is the time; elsewhere it is the time of the read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A stamp older than this was not made by the clock that it is held against: that one was set meanwhile.
const MAX_AGE: Duration = Duration::from_secs(10);

/// How many reads had the kernel's stamp, and how many had not. One thread counts.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    kernel: AtomicU64,
    read: AtomicU64,
}

impl Stamps {
    /// Share of reads whose time is the kernel's; None before the first read.
    pub(crate) fn kernel_share(&self) -> Option<f64> {
        let (kernel, read) = (self.kernel.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed));
        let all = kernel + read;
        (all > 0).then(|| kernel as f64 / all as f64)
    }

    pub(super) fn count(&self, kernel: bool) {
        let counter = if kernel { &self.kernel } else { &self.read };
        // One thread writes; an atomic addition would lock the bus for nobody.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// When something stamped `stamp` arrived, where `wall` (both since 1970) and `now` are one moment. The wall
/// clock can be set at any time, so only the age is taken from it, and only where it can be one.
pub(super) fn arrived(stamp: Duration, wall: Duration, now: Instant) -> Instant {
    match wall.checked_sub(stamp) {
        Some(age) if age <= MAX_AGE => now.checked_sub(age).unwrap_or(now),
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_stamp_is_taken_off_now() {
        let (now, wall) = (Instant::now() + Duration::from_secs(100), Duration::from_secs(1_000_000));
        let ago = |age: Duration| now - arrived(wall - age, wall, now);
        for age in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(7), MAX_AGE] {
            assert_eq!(ago(age), age);
        }
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_says_nothing() {
        let (now, wall) = (Instant::now() + Duration::from_secs(100), Duration::from_secs(1_000_000));
        let hour = Duration::from_secs(3600);
        assert_eq!(arrived(wall - hour, wall, now), now, "set forward");
        assert_eq!(arrived(wall + hour, wall, now), now, "set back");
    }

    #[test]
    fn stamps_are_counted() {
        let stamps = Stamps::default();
        assert_eq!(stamps.kernel_share(), None);
        for kernel in [true, true, false, true] {
            stamps.count(kernel);
        }
        assert_eq!(stamps.kernel_share(), Some(0.75));
    }
}
