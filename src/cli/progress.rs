//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::events::{Event, Observer};

/// Off a terminal, at most one line of progress in this time.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows events on stderr.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
    last_line: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            bar: None,
            done: 0,
            total: 0,
            last_line: Instant::now(),
        }
    }
}

impl Progress {
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn spin(&mut self, text: &str) {
        if !self.terminal {
            eprintln!("  {text} ...");
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(format!("{text} ..."));
    }

    fn start_bar(&mut self, units: usize, template: &str) {
        self.finish();
        (self.done, self.total, self.last_line) = (0, units, Instant::now());
        if self.terminal {
            let bar = ProgressBar::new(units as u64);
            // Templates are constants: a bad one would fail the first test that shows a bar.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            self.bar = Some(bar);
        }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Warning(text) => self.say(&format!("warning: {text}")),
            Event::SetupStep(text) => self.spin(text),
            Event::SetupDone => self.finish(),
            Event::FileWritten { .. } => {}
            Event::CompileStarted { units } => {
                self.start_bar(*units, "  compiling {wide_bar} {pos}/{len} {elapsed} {msg}");
            }
            Event::Compiled { role, tile, failed } => {
                self.done += 1;
                if let Some(why) = failed {
                    self.say(&format!("  {role} {tile}: {why}"));
                }
                match &self.bar {
                    Some(bar) => {
                        bar.set_message(format!("{role} {tile}"));
                        bar.inc(1);
                    }
                    None if self.last_line.elapsed() >= PLAIN_INTERVAL || self.done == self.total => {
                        eprintln!("  compiled {}/{}", self.done, self.total);
                        self.last_line = Instant::now();
                    }
                    None => {}
                }
            }
            Event::CompileDone | Event::SearchDone => self.finish(),
            Event::SearchStarted { batch_sizes } => {
                self.start_bar(
                    *batch_sizes,
                    "  measuring {wide_bar} {pos}/{len} batch sizes {elapsed} {msg}",
                );
            }
            Event::Decided { batch_sizes } => {
                self.done = *batch_sizes;
                match &self.bar {
                    Some(bar) => bar.set_position(*batch_sizes as u64),
                    None => eprintln!("  decided {}/{} batch sizes", self.done, self.total),
                }
            }
            Event::Measured { batch_size, launches, seconds } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("batch size {batch_size}, {launches} launches, {seconds:.0} s"));
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
