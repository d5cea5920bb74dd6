//! What the processes of each engine are called with.

pub(super) mod ray;
mod sglang;
mod vllm;

use super::kind::ServingEngine;
use super::member::Member;
use super::recipe::ServingRecipe;

/// A process that takes part in serving a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process<'a> {
    /// What is served.
    pub(super) recipe: &'a ServingRecipe,
    /// Where it runs.
    pub(super) on: &'a Member<'a>,
    /// Rank 0's node.
    pub(super) head: &'a Member<'a>,
    /// Its rank; it is the only process of the engine where Ray starts the others.
    pub(super) rank: usize,
    /// How many nodes take part.
    pub(super) nodes: usize,
}

impl Process<'_> {
    /// Its program and arguments.
    pub(super) fn command(&self) -> Vec<String> {
        let mut words = Words(Vec::new());
        match self.recipe.keys.engine {
            ServingEngine::Sglang => sglang::command(self, &mut words),
            ServingEngine::Vllm => vllm::command(self, &mut words),
        }
        words.0.extend(self.recipe.keys.arguments.iter().cloned());
        words.0
    }
}

/// A command line as it grows.
struct Words(Vec<String>);

impl Words {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(str::to_owned));
    }

    fn flag(&mut self, name: &str, value: impl ToString) {
        self.0.push(name.to_owned());
        self.0.push(value.to_string());
    }

    /// Nothing where there is no value.
    fn optional(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.flag(name, value);
        }
    }

    /// Nothing where it is what the engine does anyway.
    fn above_one(&mut self, name: &str, value: u32) {
        if value > 1 {
            self.flag(name, value);
        }
    }

    fn switch(&mut self, name: &str, on: bool) {
        if on {
            self.add([name]);
        }
    }
}
