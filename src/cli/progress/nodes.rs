//! A line a host, where more than one works.

use std::collections::BTreeMap;

use indicatif::ProgressBar;

use super::screen::Screen;
use crate::events::{Left, NodeEvent};
use crate::host_name::HostName;

/// What each host does.
#[derive(Debug, Default)]
pub(super) struct Nodes(BTreeMap<HostName, HostLine>);

#[derive(Debug, Default)]
struct HostLine {
    bar: Option<ProgressBar>,
    compiled: u64,
    /// What it waits for, as was said last.
    waits: Option<String>,
}

impl Nodes {
    pub(super) fn on(&mut self, screen: &mut Screen, host: Option<&HostName>, event: &NodeEvent) {
        let Some(host) = host else { return };
        match event {
            NodeEvent::Joined { .. } => {
                self.0.entry(host.clone()).or_default().waits = None;
                if *host != HostName::local() {
                    screen.plain(&format!("  {host} joined"));
                }
            }
            NodeEvent::Waiting { why } => {
                let line = self.0.entry(host.clone()).or_default();
                if line.waits.replace(why.clone()).as_ref() != Some(why) {
                    screen.line(&format!("  {host} waits until its GPU is free: {why}"));
                }
            }
            NodeEvent::Left { how } => {
                if let Some(bar) = self.0.remove(host).and_then(|line| line.bar) {
                    bar.finish_and_clear();
                }
                match how {
                    Left::Drained => {}
                    Left::Died { status } => screen.line(&format!("  {host}: its worker ended: {status}")),
                    Left::Lost { why } => screen.line(&format!("  {host} is lost: {why}")),
                    Left::Unfit { why } => screen.line(&format!("  {host} cannot work for this run: {why}")),
                }
            }
        }
    }

    /// `host` is at work, which nobody else said.
    pub(super) fn works(&mut self, host: Option<&HostName>) {
        if let Some(host) = host {
            self.0.entry(host.clone()).or_default();
        }
    }

    /// `host` compiled one more kernel, `last`.
    pub(super) fn compiled(&mut self, screen: &Screen, host: Option<&HostName>, last: &str) {
        let compiled = host.map_or(0, |host| {
            let line = self.0.entry(host.clone()).or_default();
            line.compiled += 1;
            line.compiled
        });
        self.show(screen, host, last, &format!("{compiled} compiled, last {last}"));
    }

    /// `host` does `what`.
    pub(super) fn does(&mut self, screen: &Screen, host: Option<&HostName>, what: &str) {
        self.show(screen, host, what, what);
    }

    /// One host has no line of its own: what it does stands beside the bar of the whole.
    fn show(&mut self, screen: &Screen, host: Option<&HostName>, alone: &str, among_others: &str) {
        let Some(current) = screen.current() else { return };
        let several = self.0.len() > 1;
        // Who had a line keeps it when the others have left.
        let has_line = |host: &&HostName| several || self.0.get(*host).is_some_and(|line| line.bar.is_some());
        match host.filter(has_line) {
            None => current.set_message(alone.to_owned()),
            Some(host) => {
                current.set_message("");
                let line = self.0.entry(host.clone()).or_default();
                if line.bar.is_none() {
                    line.bar = screen.below("    {prefix} {msg}");
                }
                if let Some(bar) = &line.bar {
                    bar.set_prefix(host.to_string());
                    bar.set_message(among_others.to_owned());
                }
            }
        }
    }

    /// The lines that are shown: host and words.
    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let bars = self.0.values().filter_map(|line| line.bar.as_ref());
        bars.map(|bar| (bar.prefix(), bar.message())).collect()
    }
}
