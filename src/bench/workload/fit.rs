//! Prompts of a wanted number of tokens: built by the vocabulary's costs, counted, corrected.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::oracle::{CalibratedOracle, CountingCost};
use super::vocabulary::{Lead, Vocabulary, Word};
use crate::failure::Failure;

/// Times a prompt that is off is counted again.
const ROUNDS: usize = 24;

/// Of prompts counted with a cheap oracle, all together so many tokens: half a minute of a tokenizer.
const CHEAP_TOKENS: u64 = 4_000_000;

/// With a dear one.
const DEAR_TOKENS: u64 = 40_000;

/// Prompts counted with a dear oracle.
const DEAR_PROMPTS: usize = 16;

/// The first of the random streams that choose words, one a prompt.
const STREAM: u64 = 1 << 32;

/// A part behind the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// After a blank.
    Word(usize),
    /// Right behind.
    Glue(char),
}

/// A prompt in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    lead: Lead,
    /// Words behind the first that are not touched: the rest of a shared prefix.
    fixed: Vec<usize>,
    parts: Vec<Part>,
    pub(super) wanted: u32,
    /// Tokens as far as is known.
    pub(super) counted: Option<u32>,
    random: ChaCha8Rng,
}

/// The randomness of one prompt: the same whatever other prompts there are.
pub(super) fn randomness(seed: u64, prompt: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(STREAM + prompt);
    random
}

impl Draft {
    /// A prompt of `wanted` tokens. `number` chooses its first words, so that prompts of different numbers
    /// part at once.
    pub(super) fn new(vocabulary: &Vocabulary, number: usize, wanted: u32, random: ChaCha8Rng) -> Self {
        let leads = &vocabulary.leads;
        let shortest = || leads.iter().min_by_key(|lead| lead.cost).expect("there is one");
        let lead =
            Some(&leads[number % leads.len()]).filter(|lead| lead.cost <= wanted).unwrap_or_else(shortest);
        let mut draft =
            Self { lead: lead.clone(), fixed: Vec::new(), parts: Vec::new(), wanted, counted: None, random };
        draft.distinguish(vocabulary, number / leads.len(), wanted.saturating_sub(lead.cost));
        draft
    }

    /// A prompt that begins with another one whole; `wanted` tokens with it.
    pub(super) fn behind(
        prefix: &Draft,
        vocabulary: &Vocabulary,
        number: usize,
        wanted: u32,
        random: ChaCha8Rng,
    ) -> Self {
        let mut fixed = prefix.fixed.clone();
        // Glue inside a prefix would have to stay where it is; a prefix is made of words alone.
        fixed.extend(prefix.parts.iter().filter_map(|part| match part {
            Part::Word(word) => Some(*word),
            Part::Glue(_) => None,
        }));
        let taken = prefix.lead.cost + fixed.iter().map(|word| vocabulary.words[*word].cost).sum::<u32>();
        let mut draft =
            Self { lead: prefix.lead.clone(), fixed, parts: Vec::new(), wanted, counted: None, random };
        draft.distinguish(vocabulary, number, wanted.saturating_sub(taken));
        draft
    }

    /// Put the digits of `number` first, in words, then anything up to `tokens`.
    fn distinguish(&mut self, vocabulary: &Vocabulary, mut number: usize, tokens: u32) {
        let mut left = tokens;
        while number > 0 {
            let word = number % vocabulary.words.len();
            let Some(rest) = left.checked_sub(vocabulary.words[word].cost) else { break };
            self.parts.push(Part::Word(word));
            (left, number) = (rest, number / vocabulary.words.len());
        }
        self.grow(vocabulary, left);
    }

    /// Add parts that should cost `tokens`, or as near below as can be had.
    fn grow(&mut self, vocabulary: &Vocabulary, tokens: u32) {
        const TRIES: usize = 16;
        let words = &vocabulary.words;
        let mut left = tokens;
        while left > 0 {
            let fits = |place: &usize| words[*place].cost <= left;
            let drawn = (0..TRIES).map(|_| self.random.random_range(0..words.len())).find(fits);
            let word = drawn.or_else(|| (0..words.len()).find(fits));
            let glue = &vocabulary.glue;
            // Two of the same kind in a row may be one token.
            let last = match self.parts.last() {
                Some(Part::Glue(c)) => Some(*c),
                _ => None,
            };
            let glue: Vec<char> = glue.iter().filter(|c| Some(**c) != last).copied().collect();
            match word {
                Some(word) => {
                    left -= words[word].cost;
                    self.parts.push(Part::Word(word));
                }
                None if !glue.is_empty() => {
                    left -= 1;
                    let c = glue[self.random.random_range(0..glue.len())];
                    self.parts.push(Part::Glue(c));
                }
                None => break,
            }
        }
    }

    /// Take parts away that should cost at least `tokens`, and add what was too much.
    fn shrink(&mut self, vocabulary: &Vocabulary, tokens: u32) {
        let mut taken = 0;
        while taken < tokens
            && let Some(part) = self.parts.pop()
        {
            taken += match part {
                Part::Word(word) => vocabulary.words[word].cost,
                Part::Glue(_) => 1,
            };
        }
        self.grow(vocabulary, taken.saturating_sub(tokens));
    }

    /// The prompt.
    pub(super) fn text(&self, words: &[Word]) -> String {
        self.text_from(&self.lead, words)
    }

    /// The prompt behind another first word.
    fn text_from(&self, lead: &Lead, words: &[Word]) -> String {
        let mut text = lead.text.clone();
        let fixed = self.fixed.iter().map(|word| Part::Word(*word));
        for part in fixed.chain(self.parts.iter().cloned()) {
            match part {
                Part::Word(word) => {
                    text.push(' ');
                    text.push_str(&words[word].text);
                }
                Part::Glue(c) => text.push(c),
            }
        }
        text
    }
}

/// Count drafts and correct them, as many as the oracle's cost allows, spread evenly. With a dear oracle the
/// texts counted begin with a word that begins no measured prompt, so no prefix cache knows these afterwards.
pub(super) async fn correct(
    drafts: &mut [Draft],
    vocabulary: &Vocabulary,
    oracle: &CalibratedOracle,
) -> Result<(), Box<dyn Failure>> {
    let stand_in = match oracle.cost() {
        CountingCost::Cheap => None,
        CountingCost::Dear => match &vocabulary.stand_in {
            Some(stand_in) => Some(stand_in),
            // Counting would put measured prompts into the server's cache.
            None => return Ok(()),
        },
    };
    let mut open = chosen(drafts, oracle.cost());
    let mut best: Vec<Option<Draft>> = vec![None; drafts.len()];
    let rounds = if stand_in.is_some() { 4 } else { ROUNDS };
    for _ in 0..rounds {
        if open.is_empty() {
            break;
        }
        let lead = |draft: &Draft| stand_in.unwrap_or(&draft.lead).clone();
        let texts: Vec<String> =
            open.iter().map(|&at| drafts[at].text_from(&lead(&drafts[at]), &vocabulary.words)).collect();
        let counts = oracle.count(&texts).await?;
        let mut still = Vec::new();
        for (&at, count) in open.iter().zip(counts) {
            let draft = &mut drafts[at];
            let count = (count + draft.lead.cost).saturating_sub(lead(draft).cost);
            draft.counted = Some(count);
            let off = |draft: &Draft| draft.counted.map_or(u32::MAX, |count| count.abs_diff(draft.wanted));
            if best[at].as_ref().is_none_or(|best| off(draft) < off(best)) {
                best[at] = Some(draft.clone());
            }
            if count != draft.wanted {
                still.push(at);
                let wanted = draft.wanted;
                match count < wanted {
                    true => {
                        let before = draft.parts.len();
                        draft.grow(vocabulary, wanted - count);
                        // Nothing fits: take the last away for another to be tried.
                        if draft.parts.len() == before {
                            draft.shrink(vocabulary, 1);
                        }
                    }
                    false => draft.shrink(vocabulary, count - wanted),
                }
            }
        }
        open = still;
    }
    for (draft, best) in drafts.iter_mut().zip(best) {
        if let Some(best) = best {
            *draft = best;
        }
    }
    Ok(())
}

/// Which drafts are counted.
fn chosen(drafts: &[Draft], cost: CountingCost) -> Vec<usize> {
    let (tokens, most) = match cost {
        CountingCost::Cheap => (CHEAP_TOKENS, drafts.len()),
        CountingCost::Dear => (DEAR_TOKENS, DEAR_PROMPTS),
    };
    let all: u64 = drafts.iter().map(|draft| u64::from(draft.wanted)).sum();
    let share = (tokens as f64 / all.max(1) as f64).min(1.0);
    let count = ((drafts.len() as f64 * share) as usize).clamp(1, most.max(1)).min(drafts.len());
    (0..count).map(|place| place * drafts.len() / count).collect()
}
