//! First questions and answers of a ShareGPT-format file.
//!
//! Such files reach 700 MB: one conversation at a time is in memory, and of the questions only a sample.

use std::fmt;
use std::io::BufReader;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::file::BadFile;

/// A question and the answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuestionAnswer {
    pub(super) question: String,
    pub(super) answer: String,
}

/// What a file held.
#[derive(Debug)]
pub(super) struct ConversationSample {
    /// In random order.
    pub(super) pairs: Vec<QuestionAnswer>,
    /// Conversations with a question and an answer.
    pub(super) usable: usize,
    /// Those without.
    pub(super) skipped: usize,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "conversation")]
    conversations: Option<Vec<Said>>,
}

#[derive(Deserialize)]
struct Said {
    from: Option<String>,
    value: Option<String>,
}

/// Choose `keep` conversations at random, each equally likely.
pub(super) fn read(path: &Path, keep: usize, random: &mut ChaCha8Rng) -> Result<ConversationSample, BadFile> {
    let unreadable = |source| BadFile::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let sample = ConversationSample { pairs: Vec::new(), usable: 0, skipped: 0 };
    let mut reading = Reading { sample, keep, random };
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 20, file));
    let read = json.deserialize_seq(&mut reading).and_then(|()| json.end());
    let entry = reading.sample.usable + reading.sample.skipped + 1;
    match read {
        Ok(()) => Ok(reading.sample),
        Err(error) if error.is_io() => Err(unreadable(error.into())),
        Err(error) => Err(BadFile::Sharegpt { path: path.to_owned(), entry, problem: error.to_string() }),
    }
}

struct Reading<'a> {
    sample: ConversationSample,
    keep: usize,
    random: &'a mut ChaCha8Rng,
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of conversations")
    }

    /// Algorithm R (Vitter 1985), the sample then shuffled by where entries land.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Entry>()? {
            let Some(pair) = pair(entry) else {
                self.sample.skipped += 1;
                continue;
            };
            self.sample.usable += 1;
            let pairs = &mut self.sample.pairs;
            if pairs.len() < self.keep {
                // Anywhere among those there are, so that the order is random too.
                let place = self.random.random_range(0..=pairs.len());
                pairs.push(pair);
                let last = pairs.len() - 1;
                pairs.swap(place, last);
            } else {
                let place = self.random.random_range(0..self.sample.usable);
                if let Some(kept) = pairs.get_mut(place) {
                    *kept = pair;
                }
            }
        }
        Ok(())
    }
}

/// The first question that is answered at once.
fn pair(entry: Entry) -> Option<QuestionAnswer> {
    let said = entry.conversations?;
    let by = |said: &Said, names: [&str; 3]| said.from.as_deref().is_some_and(|from| names.contains(&from));
    let text = |said: &Said| said.value.clone().filter(|text| !text.trim().is_empty());
    said.windows(2).find_map(|two| {
        let right =
            by(&two[0], ["human", "user", "prompter"]) && by(&two[1], ["gpt", "assistant", "chatgpt"]);
        right.then(|| Some(QuestionAnswer { question: text(&two[0])?, answer: text(&two[1])? }))?
    })
}
