//! Questions on a terminal. What is asked again until it can be understood.

use std::io;

use super::InitError;
use super::nodes::{of_host, shown};
use crate::cluster::inventory::DraftNode;
use crate::cluster::nearby::NearbyHost;

/// Somebody who can be asked.
pub trait Dialogue {
    /// Show `text`.
    fn say(&mut self, text: &str);

    /// The line that answers `question`, without its end; none where there are no more answers.
    fn ask(&mut self, question: &str) -> io::Result<Option<String>>;
}

impl dyn Dialogue + '_ {
    /// What `understand` makes of the answer, or of the usual one where it is empty.
    fn answer<T>(
        &mut self,
        question: &str,
        usual: &str,
        understand: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, InitError> {
        loop {
            let line = self.ask(&format!("{question} [{usual}] ")).map_err(InitError::Answer)?;
            let line = line.ok_or(InitError::Declined)?;
            let given = line.trim();
            match understand(if given.is_empty() { usual } else { given }) {
                Ok(understood) => return Ok(understood),
                Err(why) => self.say(&why),
            }
        }
    }

    /// Whether the answer is yes, which it usually is.
    pub(super) fn yes_or_no(&mut self, question: &str) -> Result<bool, InitError> {
        self.answer(question, "yes", |text| match text.to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err(format!("`{text}` is neither yes nor no")),
        })
    }

    /// The word chosen out of `words`.
    pub(super) fn one_of(
        &mut self,
        question: &str,
        words: &[&str],
        usual: &str,
    ) -> Result<String, InitError> {
        let list = words.join(", ");
        self.answer(&format!("{question} {list}"), usual, |text| match words.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!("`{text}` is none of {list}")),
        })
    }

    /// Any text.
    pub(super) fn text(&mut self, question: &str, usual: &str) -> Result<String, InitError> {
        self.answer(question, usual, |text| Ok(text.to_owned()))
    }

    /// Those of `hosts` that are to be nodes.
    pub(super) fn chosen(&mut self, hosts: &[&NearbyHost]) -> Result<Vec<DraftNode>, InitError> {
        if hosts.is_empty() {
            self.say("No other machine was found.");
            return Ok(Vec::new());
        }
        for (at, host) in hosts.iter().enumerate() {
            self.say(&format!("  {}  {}", at + 1, shown(host)));
        }
        let numbers = self.answer("Which of them are nodes? Numbers, all or none", "all", |text| {
            let known = 1..=hosts.len();
            match text {
                "all" => return Ok(known.collect()),
                "none" => return Ok(Vec::new()),
                _ => {}
            }
            let words = text.split([',', ' ']).filter(|word| !word.is_empty());
            let numbers = words.map(|word| word.parse().ok().filter(|number| known.contains(number)));
            let numbers: Option<Vec<usize>> = numbers.collect();
            numbers.ok_or_else(|| format!("`{text}` is no list of numbers from 1 to {}", hosts.len()))
        })?;
        // In the order shown, each once.
        let taken = hosts.iter().enumerate().filter(|(at, _)| numbers.contains(&(at + 1)));
        Ok(taken.map(|(_, host)| of_host(host)).collect())
    }
}
