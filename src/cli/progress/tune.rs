//! Compiling and measuring kernels.

use std::time::Duration;

use super::nodes::Nodes;
use super::screen::Screen;
use crate::events::{CompileEvent, MeasureEvent, Seen, SpeedupSeen, Work};
use crate::host_name::HostName;

/// Off a terminal, at most one line of progress in this time.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

const COMPILING: &str = "  {prefix} {wide_bar} {pos}/{len} {elapsed} {msg}";
const MEASURING: &str = "  {prefix} {wide_bar} {pos}/{len} batch sizes {elapsed} {msg}";

pub(super) fn compile(screen: &mut Screen, nodes: &mut Nodes, host: Option<&HostName>, event: &CompileEvent) {
    match event {
        CompileEvent::Queued { work } => screen.start(*work, COMPILING, "compiling"),
        CompileEvent::Ended { role, tile, batch_size: _, failed, work } => {
            if let Some(why) = failed {
                screen.line(&format!("  {role} {tile}: {}: {}", why.reason, why.message));
            }
            nodes.compiled(screen, host, &format!("{role} {tile}"));
            at(screen, *work);
            if work.is_done() || screen.quiet_for(PLAIN_INTERVAL) {
                screen.plain(&format!("  compiled {}/{}", work.done, work.of));
            }
            if work.is_done() {
                screen.clear();
            }
        }
    }
}

pub(super) fn measure(screen: &mut Screen, nodes: &mut Nodes, host: Option<&HostName>, event: &MeasureEvent) {
    match event {
        MeasureEvent::Queued { work } => screen.start(*work, MEASURING, "measuring"),
        MeasureEvent::Resumed { rounds, work, .. } => {
            at(screen, *work);
            screen.plain(&format!(
                "  going on after {rounds} rounds: {}/{} batch sizes are decided",
                work.done, work.of
            ));
        }
        MeasureEvent::Round { batch_size, launches, seconds } => {
            let what = format!("batch size {batch_size}, {launches} launches, {seconds:.0} s");
            nodes.does(screen, host, &what);
        }
        MeasureEvent::Unsteady { batch_size, change_percent } => screen.line(&format!(
            "warning: the machine is not steady: the same config took {change_percent:.1} % more or less within \
             batch size {batch_size}; pairs still compare, and intervals widen"
        )),
        MeasureEvent::Decided { work, .. } => {
            at(screen, *work);
            screen.plain(&format!("  decided {}/{} batch sizes", work.done, work.of));
        }
        MeasureEvent::Judged { agrees: true, .. } => {}
        MeasureEvent::Judged { batch_size, agrees: false, seen } => {
            screen.line(&disagreement(*batch_size, seen));
        }
        MeasureEvent::Ended { .. } => screen.clear(),
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

fn at(screen: &Screen, work: Work) {
    if let Some(bar) = screen.current() {
        bar.set_length(work.of);
        bar.set_position(work.done);
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
