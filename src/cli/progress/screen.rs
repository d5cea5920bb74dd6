//! What can be drawn: lines, and on a terminal one bar for what is being done, with others below it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::stderr;
use crate::events::Work;

/// Stderr, with what stands on it.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    bars: MultiProgress,
    /// What is being done.
    current: Option<ProgressBar>,
    /// When the last line of progress was written, off a terminal.
    last_line: Instant,
}

impl Default for Screen {
    fn default() -> Self {
        Self::on(std::io::stderr().is_terminal())
    }
}

impl Screen {
    /// Stderr, which is a terminal or not.
    pub(super) fn on(terminal: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Self { terminal, bars, current: None, last_line: Instant::now() }
    }

    pub(super) fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    /// Whether there is one to draw on.
    pub(super) fn on_terminal(&self) -> bool {
        self.terminal
    }

    /// A line that stays.
    pub(super) fn line(&self, text: &str) {
        self.bars.suspend(|| stderr::line(text));
    }

    /// A line of progress, off a terminal: there are no bars to see it from.
    pub(super) fn plain(&mut self, text: &str) {
        if !self.terminal {
            stderr::line(text);
            self.last_line = Instant::now();
        }
    }

    /// Whether the last line of progress is as old.
    pub(super) fn quiet_for(&self, interval: Duration) -> bool {
        self.last_line.elapsed() >= interval
    }

    /// A step begins whose length nobody knows.
    pub(super) fn spin(&mut self, text: &str) {
        if !self.terminal {
            return stderr::line(&format!("  {text} ..."));
        }
        self.clear();
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message(format!("{text} ..."));
        self.current = Some(bar);
    }

    /// Work began so long ago: a bar in the place of the last one. `name` is the template's prefix.
    pub(super) fn start(&mut self, work: Work, template: &str, name: &str, since: Duration) {
        self.clear();
        self.last_line = Instant::now();
        if self.terminal {
            let bar = styled(ProgressBar::new(work.of), template).with_prefix(name.to_owned());
            let bar = self.bars.insert(0, bar.with_elapsed(since));
            bar.set_position(work.done);
            bar.enable_steady_tick(Duration::from_millis(200));
            self.current = Some(bar);
        }
    }

    /// The bar of what is being done, on a terminal.
    pub(super) fn current(&self) -> Option<&ProgressBar> {
        self.current.as_ref()
    }

    /// One more bar below, on a terminal.
    pub(super) fn below(&self, template: &str) -> Option<ProgressBar> {
        self.terminal.then(|| self.bars.add(styled(ProgressBar::new_spinner(), template)))
    }

    /// Nothing is being done.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.current.take() {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // Templates are constants: a bad one would fail the first test that shows a bar.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
