//! Compiling and measuring kernels.

use std::time::Duration;

use jiff::Timestamp;

use super::nodes::Nodes;
use super::screen::Screen;
use crate::events::{CompileEvent, MeasureEvent, Pace, Seen, SpeedupSeen, Work};
use crate::host_name::HostName;

/// Off a terminal, at most one line of progress in this time.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// What is being done: its name, and its bar.
struct Step(&'static str, &'static str);

const COMPILING: Step = Step("compiling", "  {prefix} {wide_bar} {pos}/{len} {elapsed} {msg}");
const MEASURING: Step = Step("measuring", "  {prefix} {wide_bar} {pos}/{len} batch sizes {elapsed} {msg}");

/// What is drawn on when something happens to kernels, and when that was.
pub(super) struct Tuning<'a> {
    pub(super) screen: &'a mut Screen,
    pub(super) nodes: &'a mut Nodes,
    pub(super) pace: &'a mut Pace,
    pub(super) at: Timestamp,
}

impl Tuning<'_> {
    pub(super) fn compile(&mut self, host: Option<&HostName>, event: &CompileEvent) {
        match event {
            CompileEvent::Queued { work } => self.begins(*work, &COMPILING),
            CompileEvent::Ended { role, tile, batch_size: _, failed, work } => {
                if let Some(why) = failed {
                    self.screen.line(&format!("  {role} {tile}: {}: {}", why.reason, why.message));
                }
                self.nodes.compiled(self.screen, host, &format!("{role} {tile}"));
                let pace = self.has_come_to(*work, &COMPILING);
                if work.is_done() || self.screen.quiet_for(PLAIN_INTERVAL) {
                    self.screen.plain(&format!("  compiled {}/{}{pace}", work.done, work.of));
                }
                if work.is_done() {
                    self.screen.clear();
                }
            }
        }
    }

    pub(super) fn measure(&mut self, host: Option<&HostName>, event: &MeasureEvent) {
        match event {
            MeasureEvent::Queued { work } => self.begins(*work, &MEASURING),
            MeasureEvent::Resumed { rounds, work, .. } => {
                // What earlier sessions did says nothing of how fast this one is.
                *self.pace = Pace::begin(self.at, *work);
                self.has_come_to(*work, &MEASURING);
                self.screen.plain(&format!(
                    "  going on after {rounds} rounds: {}/{} batch sizes are decided",
                    work.done, work.of
                ));
            }
            MeasureEvent::Round { batch_size, launches, seconds } => {
                let what = format!("batch size {batch_size}, {launches} launches, {seconds:.0} s");
                self.nodes.does(self.screen, host, &what);
            }
            MeasureEvent::Unsteady { batch_size, change_percent } => self.screen.line(&format!(
                "warning: the machine is not steady: the same config took {change_percent:.1} % more or less within \
                 batch size {batch_size}; pairs still compare, and intervals widen"
            )),
            MeasureEvent::Decided { work, .. } => {
                let pace = self.has_come_to(*work, &MEASURING);
                self.screen.plain(&format!("  decided {}/{} batch sizes{pace}", work.done, work.of));
            }
            MeasureEvent::Judged { agrees: true, .. } => {}
            MeasureEvent::Judged { batch_size, agrees: false, seen } => {
                self.screen.line(&disagreement(*batch_size, seen));
            }
            MeasureEvent::Ended { .. } => self.screen.clear(),
        }
    }

    fn begins(&mut self, work: Work, Step(name, template): &Step) {
        *self.pace = Pace::begin(self.at, work);
        // It may have begun long before it is shown.
        let since = Duration::try_from(Timestamp::now().duration_since(self.at)).unwrap_or_default();
        self.screen.start(work, template, name, since);
    }

    /// Show it, and say how fast it goes: `, 4.2 a second, 58 s left`, or nothing.
    fn has_come_to(&mut self, work: Work, Step(name, _): &Step) -> String {
        self.pace.sees(self.at, work);
        let pace = self.pace.in_words().map(|words| format!(", {words}")).unwrap_or_default();
        if let Some(bar) = self.screen.current() {
            bar.set_length(work.of);
            bar.set_position(work.done);
            bar.set_prefix(format!("{name}{pace}"));
        }
        pace
    }
}

/// What is said of nodes that do not agree on a batch size.
fn disagreement(batch_size: u32, seen: &[Seen]) -> String {
    let saw: Vec<String> = seen.iter().map(saw).collect();
    let saw = saw.join(", ");
    format!("warning: nodes do not agree at batch size {batch_size}, and the default stays: {saw}")
}

/// `spark-1 saw 1.052 (1.031 to 1.070) times the default's speed`
fn saw(seen: &Seen) -> String {
    let Seen { node, speedup } = seen;
    match speedup {
        Some(SpeedupSeen { lower, estimate, upper }) => {
            format!("{node} saw {estimate:.3} ({lower:.3} to {upper:.3}) times the default's speed")
        }
        None => format!("on {node} they did not both run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_do_not_agree_are_told_with_what_each_saw() {
        let seen = |node: &str, speedup| Seen { node: node.parse().unwrap(), speedup };
        let speedup = |lower, estimate, upper| Some(SpeedupSeen { lower, estimate, upper });
        let both = [seen("spark-1", speedup(1.031, 1.052, 1.07)), seen("spark-2", speedup(0.9, 0.99, 1.004))];
        assert_eq!(
            disagreement(64, &both),
            "warning: nodes do not agree at batch size 64, and the default stays: spark-1 saw 1.052 (1.031 to \
             1.070) times the default's speed, spark-2 saw 0.990 (0.900 to 1.004) times the default's speed"
        );
        let one = [both[0].clone(), seen("spark-2", None)];
        assert!(disagreement(64, &one).ends_with(", on spark-2 they did not both run"));
    }
}
