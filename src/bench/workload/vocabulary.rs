//! Which words cost how many tokens: found out by asking, for any tokenizer.
//!
//! A prompt is words with single blanks between. Its first word stands without a blank before it and shares
//! its cost with whatever the server puts around a prompt, so the two are measured as one.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::oracle::{CalibratedOracle, CountingCost, Unusable};
use super::words;
use crate::failure::Failure;

/// With as many words of one token, the others are not used: every length can then be had exactly.
const ENOUGH: usize = 64;

/// Words tried at once: most are one token each, and one count shows it for all.
const BLOCK: usize = 32;

/// With a dear oracle: words looked at one by one, and first words.
const DEAR_WORDS: usize = 48;

/// With a dear oracle: words looked at in blocks. A block of which more than this share is off is given up.
const DEAR_BLOCKS: usize = 10;
const DEAR_SHARE: i64 = 4;

/// Copies of a word whose cost is measured, so that what happens once at an edge shows.
const COPIES: u32 = 4;

/// What may be put right behind a word where no word is short enough.
const GLUE: [char; 8] = [',', ';', '!', '?', ':', '.', 'z', 'q'];

/// Sets the order of words apart from other random numbers.
const STREAM: u64 = 2;

/// A word, and what it costs with a blank before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) cost: u32,
}

/// A word at the beginning, and what it costs together with everything around the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    pub(super) text: String,
    pub(super) cost: u32,
}

/// What prompts are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vocabulary {
    /// At least one, in the seed's order.
    pub(super) words: Vec<Word>,
    /// At least one, in the seed's order.
    pub(super) leads: Vec<Lead>,
    /// Never begins a measured prompt. None where only one word can begin any.
    pub(super) stand_in: Option<Lead>,
    /// Characters of one token each behind a word. Empty where all words are one token.
    pub(super) glue: Vec<char>,
    /// Tokens around a prompt.
    pub(super) overhead: u32,
}

impl Vocabulary {
    /// The fewest tokens a prompt can have.
    pub(super) fn shortest(&self) -> u32 {
        self.leads.iter().map(|lead| lead.cost).min().unwrap_or(0)
    }

    /// Words of one token, no overhead: for when nobody can be asked.
    pub(super) fn assumed(seed: u64) -> Self {
        let words: Vec<Word> = shuffled(seed).into_iter().map(|text| Word { text, cost: 1 }).collect();
        let mut leads: Vec<Lead> =
            words.iter().map(|word| Lead { text: word.text.clone(), cost: word.cost }).collect();
        let stand_in = leads.pop();
        Self { words, leads, stand_in, glue: Vec::new(), overhead: 0 }
    }

    /// Find out by asking.
    pub(super) async fn calibrate(oracle: &CalibratedOracle, seed: u64) -> Result<Self, Box<dyn Failure>> {
        let mut order = shuffled(seed);
        let base = format!("{} {}", order.pop().unwrap_or_default(), order.pop().unwrap_or_default());
        let behind = Behind { oracle, base: &base, cost: count_one(oracle, &base).await? };
        let mut words = units(&behind, &order).await?;
        let mut glue = Vec::new();
        if words.len() < ENOUGH {
            let known: std::collections::HashSet<String> =
                words.iter().map(|word| word.text.clone()).collect();
            let mut rest: Vec<String> = order.into_iter().filter(|word| !known.contains(word)).collect();
            if oracle.cost() == CountingCost::Dear {
                rest.truncate(DEAR_WORDS);
            }
            words.extend(measured(&behind, &rest).await?);
            glue = single(&behind).await?;
        }
        if words.is_empty() {
            let why = format!("{} says that more words have no more tokens", oracle.name());
            return Err(Unusable(why).into());
        }
        let mut first: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
        if oracle.cost() == CountingCost::Dear {
            first.truncate(DEAR_WORDS);
        }
        let mut leads = leads(oracle, &first, &words).await?;
        let cheapest = words.iter().map(|word| word.cost).min().unwrap_or(1);
        let shortest = leads.iter().map(|lead| lead.cost).min().unwrap_or(0);
        if cheapest == 1 && glue.is_empty() {
            leads.retain(|lead| lead.cost == shortest);
        }
        let stand_in = if leads.len() > 1 { leads.pop() } else { None };
        let overhead = shortest.saturating_sub(cheapest);
        Ok(Self { words, leads, stand_in, glue, overhead })
    }
}

fn shuffled(seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(STREAM);
    let mut words: Vec<String> = words::all().into_iter().map(str::to_owned).collect();
    words.shuffle(&mut random);
    words
}

async fn count_one(oracle: &CalibratedOracle, text: &str) -> Result<u32, Box<dyn Failure>> {
    Ok(oracle.count(&[text.to_owned()]).await?[0])
}

/// Asks what a text costs behind another one.
struct Behind<'a> {
    oracle: &'a CalibratedOracle,
    base: &'a str,
    cost: u32,
}

impl Behind<'_> {
    async fn costs(&self, texts: impl Iterator<Item = String>) -> Result<Vec<i64>, Box<dyn Failure>> {
        let texts: Vec<String> = texts.map(|text| format!("{}{text}", self.base)).collect();
        let counts = self.oracle.count(&texts).await?;
        Ok(counts.into_iter().map(|count| i64::from(count) - i64::from(self.cost)).collect())
    }
}

/// The words of one token: whole blocks at once, and halves of those that are off. Given up where hardly any
/// word is one.
async fn units(behind: &Behind<'_>, words: &[String]) -> Result<Vec<Word>, Box<dyn Failure>> {
    let mut found = Vec::new();
    let dear = behind.oracle.cost() == CountingCost::Dear;
    let mut blocks: Vec<&[String]> = words.chunks(BLOCK).collect();
    if dear {
        blocks.truncate(DEAR_BLOCKS);
    }
    while !blocks.is_empty() {
        let texts = blocks.iter().map(|block| format!(" {}", block.join(" ")));
        let costs = behind.costs(texts).await?;
        let (cost, size): (i64, usize) = (costs.iter().sum(), blocks.iter().map(|block| block.len()).sum());
        if found.is_empty() && (cost >= 2 * size as i64 || cost <= 0) {
            break;
        }
        let mut halves = Vec::new();
        for (block, cost) in blocks.iter().zip(costs) {
            let size = block.len() as i64;
            if cost == size {
                found.extend(block.iter().map(|word| Word { text: word.clone(), cost: 1 }));
            } else if block.len() > 1 && !(dear && (cost - size).abs() > size / DEAR_SHARE) {
                let (left, right) = block.split_at(block.len() / 2);
                halves.extend([left, right]);
            }
        }
        // A dear oracle is not asked for the last few.
        let enough = dear && found.len() >= ENOUGH;
        blocks = if enough { Vec::new() } else { halves };
    }
    Ok(found)
}

/// What each word costs, rounded up where its copies cost differently.
async fn measured(behind: &Behind<'_>, words: &[String]) -> Result<Vec<Word>, Box<dyn Failure>> {
    let costs = behind.costs(words.iter().map(|word| format!(" {word}").repeat(COPIES as usize))).await?;
    let words = words.iter().zip(costs).filter(|(_, cost)| *cost > 0);
    Ok(words
        .map(|(word, cost)| Word {
            text: word.clone(),
            cost: u32::try_from(cost).unwrap_or(u32::MAX).div_ceil(COPIES),
        })
        .collect())
}

async fn single(behind: &Behind<'_>) -> Result<Vec<char>, Box<dyn Failure>> {
    let costs = behind.costs(GLUE.iter().map(char::to_string)).await?;
    Ok(GLUE.iter().zip(costs).filter(|(_, cost)| *cost == 1).map(|(c, _)| *c).collect())
}

async fn leads(
    oracle: &CalibratedOracle,
    first: &[String],
    words: &[Word],
) -> Result<Vec<Lead>, Box<dyn Failure>> {
    let tail = &words[words.len().saturating_sub(4)..];
    let cost: u32 = tail.iter().map(|word| word.cost).sum();
    let tail: String = tail.iter().map(|word| format!(" {}", word.text)).collect();
    let texts: Vec<String> = first.iter().map(|word| format!("{word}{tail}")).collect();
    let counts = oracle.count(&texts).await?;
    let leads = first.iter().zip(counts);
    Ok(leads.map(|(word, count)| Lead { text: word.clone(), cost: count.saturating_sub(cost) }).collect())
}
