//! Progress on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::events::{Event, LiveView, Observer};

/// Off a terminal, at most one line of progress in this time.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The same for a benchmark, where more happens.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Shows events on stderr.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
    last_line: Instant,
    load: Load,
}

/// A benchmark at work.
#[derive(Debug, Default)]
struct Load {
    what: String,
    requests: u32,
    began: Option<Instant>,
    latest: LiveView,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            bar: None,
            done: 0,
            total: 0,
            last_line: Instant::now(),
            load: Load::default(),
        }
    }
}

impl Load {
    /// `37 done, 1 failed, 812.4 tok/s, TTFT 131 ms, ITL 21.3 ms`, means so far.
    fn words(&self) -> String {
        let LiveView { sent: _, done, failed, tokens, mean_ttft_ms, mean_itl_ms } = self.latest;
        let seconds = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        let mut words =
            format!("{done} done, {failed} failed, {:.1} tok/s", tokens as f64 / seconds.max(1e-3));
        for (name, mean) in [("TTFT", mean_ttft_ms), ("ITL", mean_itl_ms)] {
            if let Some(ms) = mean {
                words += &format!(", {name} {ms:.*} ms", if ms < 100.0 { 1 } else { 0 });
            }
        }
        words
    }
}

impl Progress {
    fn load_starts(&mut self, what: &str, requests: u32) {
        let template = "  {prefix} {wide_bar} {pos}/{len} {elapsed} (eta {eta}) {msg}";
        self.start_bar(requests as usize, template);
        if let Some(bar) = &self.bar {
            bar.set_prefix(what.to_owned());
        }
        self.load = Load {
            what: what.to_owned(),
            requests,
            began: Some(Instant::now()),
            latest: LiveView::default(),
        };
    }

    fn load(&mut self, view: &LiveView) {
        self.load.latest = *view;
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::from(view.done + view.failed));
                bar.set_message(self.load.words());
            }
            None if self.last_line.elapsed() >= LOAD_INTERVAL => self.load_line(),
            None => {}
        }
    }

    fn load_line(&mut self) {
        let Load { what, requests, latest, .. } = &self.load;
        let ended = latest.done + latest.failed;
        eprintln!("  {what}: {ended}/{requests} ended: {}", self.load.words());
        self.last_line = Instant::now();
    }

    fn load_ends(&mut self) {
        if self.bar.is_none() {
            self.load_line();
        }
        self.finish();
    }

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
            Event::Listening { url, model } => self.say(&format!("  {model} on {url}; Ctrl-C stops it")),
            Event::LoadStarted { what, requests } => self.load_starts(what, *requests),
            Event::Load(view) => self.load(view),
            Event::LoadDone => self.load_ends(),
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
