//! Whether the client keeps up: its CPU time, its event loop's lag, its late sends.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bench::summary::{ClientHealth, LagMs};

/// How often the event loop is asked to wake up on time.
const PROBE: Duration = Duration::from_millis(10);

/// Above this share of a core the reading thread has no room left for bursts.
const BUSY: f64 = 0.85;

/// An event loop this late (p99) shifts what it sends as much, and what it measures where times are its own.
const LATE_LOOP: Duration = Duration::from_millis(5);

/// A send this late against its schedule counts as late. tokio's timers tick in milliseconds, and hundreds of
/// requests due at one moment take some to send.
const LATE_SEND: Duration = Duration::from_millis(10);

/// Where all but this share of times are the kernel's, reading late makes no time later than the bytes read.
const KERNEL_TIMES: f64 = 0.99;

/// What reading late still does there.
const SHARED: &str =
    "requests went out late, and tokens that came meanwhile have the time of the last of them";

/// More late sends than this share is worth a complaint.
const LATE_SHARE: f64 = 0.01;

/// Watches the thread it is made on.
#[derive(Debug)]
pub(super) struct HealthProbe {
    began: Instant,
    cpu: Duration,
    lags: Rc<RefCell<Vec<Duration>>>,
    sends: RefCell<(u32, u32, Duration)>,
}

impl HealthProbe {
    /// Begin watching. Needs a thread of local tasks.
    pub(super) fn start() -> Self {
        let lags = Rc::new(RefCell::new(Vec::new()));
        let record = lags.clone();
        tokio::task::spawn_local(async move {
            loop {
                let due = Instant::now() + PROBE;
                tokio::time::sleep_until(due.into()).await;
                record.borrow_mut().push(due.elapsed());
            }
        });
        Self { began: Instant::now(), cpu: thread_cpu(), lags, sends: RefCell::default() }
    }

    /// A request was sent, so much later than it could have been.
    pub(super) fn sent(&self, late: Duration) {
        let mut sends = self.sends.borrow_mut();
        sends.0 += 1;
        sends.1 += u32::from(late > LATE_SEND);
        sends.2 = sends.2.max(late);
    }

    /// What was seen so far; `kernel_times` is the share of reads whose time is the kernel's.
    pub(super) fn report(&self, kernel_times: Option<f64>) -> ClientHealth {
        let cpu = thread_cpu().saturating_sub(self.cpu).as_secs_f64();
        let wall = self.began.elapsed().as_secs_f64();
        let mut lags = self.lags.borrow().clone();
        lags.sort_unstable();
        let at = |share: f64| {
            let last = lags.len().saturating_sub(1);
            let lag = lags.get((last as f64 * share).round() as usize);
            lag.map_or(0.0, |lag| lag.as_secs_f64() * 1e3)
        };
        let (sends, late_sends, latest) = *self.sends.borrow();
        let mut health = ClientHealth {
            cpu_s: cpu,
            cpu_share: if wall > 0.0 { cpu / wall } else { 0.0 },
            lag_ms: LagMs { median: at(0.5), p99: at(0.99), max: at(1.0) },
            late_sends,
            latest_send_ms: latest.as_secs_f64() * 1e3,
            kernel_times,
            complaints: Vec::new(),
        };
        health.complaints = complaints(&health, sends);
        health
    }
}

/// What is wrong with the client itself.
fn complaints(health: &ClientHealth, sends: u32) -> Vec<String> {
    let mut said = Vec::new();
    let stamped = health.kernel_times.is_some_and(|share| share >= KERNEL_TIMES);
    if health.cpu_share > BUSY {
        said.push(format!(
            "the thread that reads was busy {:.0} % of the time: {}",
            health.cpu_share * 100.0,
            if stamped { SHARED } else { "latencies are partly its own" }
        ));
    }
    if health.lag_ms.p99 > LATE_LOOP.as_secs_f64() * 1e3 {
        said.push(format!(
            "its event loop woke up {:.1} ms late (p99, at most {:.1} ms): {}",
            health.lag_ms.p99,
            health.lag_ms.max,
            if stamped { SHARED } else { "latencies are too long by as much" }
        ));
    }
    if f64::from(health.late_sends) > LATE_SHARE * f64::from(sends) {
        said.push(format!(
            "{} of {sends} requests were sent late, by up to {:.1} ms: the load was not what the plan says",
            health.late_sends, health.latest_send_ms
        ));
    }
    said
}

/// CPU time of this thread so far.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_keeps_up_has_nothing_to_complain_of() {
        assert_eq!(
            complaints(&ClientHealth { cpu_share: 0.5, ..Default::default() }, 100),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_way_of_not_keeping_up_is_said() {
        let health = ClientHealth {
            cpu_share: 0.99,
            lag_ms: LagMs { median: 1.0, p99: 12.0, max: 40.0 },
            late_sends: 7,
            latest_send_ms: 31.0,
            ..Default::default()
        };
        let said = complaints(&health, 100);
        assert_eq!(said.len(), 3);
        for words in ["99 %", "12.0 ms", "7 of 100", "latencies are too long"] {
            assert!(said.iter().any(|line| line.contains(words)), "{words}: {said:?}");
        }
        let stamped = complaints(&ClientHealth { kernel_times: Some(1.0), ..health }, 100);
        assert!(
            !stamped.iter().any(|line| line.contains("latenc")),
            "reading late shifts nothing: {stamped:?}"
        );
    }
}
