//! Who says how many tokens a prompt has.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use tokenizers::Tokenizer;

use crate::failure::{Failure, Kind};
use crate::fs::read_at_most;

/// Bytes of a `tokenizer.json`: many times the largest published ones, of some 35 MB.
const MAX_TOKENIZER: u64 = 1 << 30;

/// Counts, one a text, in order.
pub(crate) type Counting<'a> = Pin<Box<dyn Future<Output = Result<Vec<u32>, Box<dyn Failure>>> + Send + 'a>>;

/// What a count costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountingCost {
    /// Little: many prompts may be counted.
    Cheap,
    /// A pass through the model, which leaves the prompt in its prefix cache: measured prompts must not be
    /// counted, only their like.
    Dear,
}

/// Counts a prompt's tokens: those of one request whose prompt, or whose only user message, is the text.
pub(crate) trait Oracle: Send + Sync {
    /// What it is, for the report.
    fn name(&self) -> &'static str;
    /// What a count costs.
    fn cost(&self) -> CountingCost;
    /// Count.
    fn count<'a>(&'a self, texts: &'a [String]) -> Counting<'a>;
}

/// A tokenizer.json on this machine. It knows no chat template: [`settle`] learns its overhead from the server.
#[derive(Debug)]
pub(crate) struct Local {
    tokenizer: Tokenizer,
}

/// A tokenizer file that is none.
#[derive(Debug, thiserror::Error)]
#[error("--tokenizer: `{}`: {problem}; give a model's tokenizer.json", path.display())]
pub(crate) struct BadTokenizer {
    path: PathBuf,
    problem: String,
}

impl Failure for BadTokenizer {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

impl Local {
    /// Read a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that cannot be read or is none.
    pub(crate) fn read(path: &Path) -> Result<Self, BadTokenizer> {
        let bad = |problem: String| BadTokenizer { path: path.to_owned(), problem };
        let bytes = read_at_most(path, MAX_TOKENIZER).map_err(|error| bad(error.to_string()))?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| bad(error.to_string()))?;
        // Some files carry the settings of their training, which would cap or fill up every count.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        Ok(Self { tokenizer })
    }
}

impl Oracle for Local {
    fn name(&self) -> &'static str {
        "a local tokenizer.json"
    }

    fn cost(&self) -> CountingCost {
        CountingCost::Cheap
    }

    fn count<'a>(&'a self, texts: &'a [String]) -> Counting<'a> {
        Box::pin(async move {
            let count = |text: &String| {
                let encoded = self.tokenizer.encode_fast(text.as_str(), true);
                encoded.map(|encoded| u32::try_from(encoded.len()).unwrap_or(u32::MAX))
            };
            texts.iter().map(|text| count(text).map_err(|error| Unusable(error.to_string()).into())).collect()
        })
    }
}

/// An oracle whose counts mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tokens cannot be counted: {0}")]
pub(crate) struct Unusable(pub(super) String);

impl Failure for Unusable {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// The oracle a workload is made with.
pub(crate) struct CalibratedOracle {
    oracle: Box<dyn Oracle>,
    offset: i64,
    /// Whether its counts were compared with a server's own usage.
    pub agrees_with_usage: bool,
    /// What the user should know.
    pub notes: Vec<String>,
    calls: AtomicU32,
}

impl std::fmt::Debug for CalibratedOracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CalibratedOracle")
            .field("oracle", &self.oracle.name())
            .field("offset", &self.offset)
            .finish()
    }
}

/// Choose between a cheap oracle and a server's usage, and make the cheap one agree with it.
///
/// Where the two differ by the same number of tokens for texts of every length, that is what a chat template
/// or a beginning token adds, and it is added to every count. Where they differ otherwise, the cheap one counts
/// something else than the server does, and is not used. None where there is neither.
///
/// # Errors
/// The usage request's, where there is no other oracle. With one, its counts stand as they are, with a note.
pub(crate) async fn settle(
    cheap: Option<Box<dyn Oracle>>,
    usage: Option<Box<dyn Oracle>>,
) -> Result<Option<CalibratedOracle>, Box<dyn Failure>> {
    let settled = |oracle, offset, agrees_with_usage, notes, calls: usize| {
        let calls = AtomicU32::new(calls as u32);
        Ok(Some(CalibratedOracle { oracle, offset, agrees_with_usage, notes, calls }))
    };
    let probes: Vec<String> =
        ["river", "the small house by the river", &"a green tree stands on the hill ".repeat(9)]
            .iter()
            .map(|text| text.trim().to_owned())
            .collect();
    match (cheap, usage) {
        (None, None) => Ok(None),
        (None, Some(usage)) => settled(usage, 0, true, Vec::new(), 0),
        (Some(cheap), None) => {
            let note = "prompt lengths were not compared with the server's own: what a chat template or a \
                        beginning token adds is unknown";
            settled(cheap, 0, false, vec![note.to_owned()], 0)
        }
        (Some(cheap), Some(usage)) => {
            let counts = cheap.count(&probes).await?;
            let true_counts = match usage.count(&probes).await {
                Ok(counts) => counts,
                Err(error) => {
                    let note =
                        format!("prompt lengths could not be compared with the server's usage: {error}");
                    return settled(cheap, 0, false, vec![note], 2 * probes.len());
                }
            };
            let differences: Vec<i64> = counts
                .iter()
                .zip(&true_counts)
                .map(|(ours, theirs)| i64::from(*theirs) - i64::from(*ours))
                .collect();
            if differences.iter().all(|difference| *difference == differences[0]) {
                return settled(cheap, differences[0], true, Vec::new(), 2 * probes.len());
            }
            let note = format!(
                "{} counts {counts:?} tokens where the server's usage says {true_counts:?}: it is not used",
                cheap.name()
            );
            settled(usage, 0, true, vec![note], 2 * probes.len())
        }
    }
}

impl CalibratedOracle {
    /// What it is.
    pub(crate) fn name(&self) -> &'static str {
        self.oracle.name()
    }

    /// What a count costs.
    pub(crate) fn cost(&self) -> CountingCost {
        self.oracle.cost()
    }

    /// Texts counted so far.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Tokens of each text as the server counts them.
    ///
    /// # Errors
    /// The oracle's.
    pub(crate) async fn count(&self, texts: &[String]) -> Result<Vec<u32>, Box<dyn Failure>> {
        self.calls.fetch_add(texts.len() as u32, Ordering::Relaxed);
        let counts = self.oracle.count(texts).await?;
        if counts.len() != texts.len() {
            return Err(Unusable(format!("{} counts for {} texts", counts.len(), texts.len())).into());
        }
        Ok(counts.into_iter().map(|count| (i64::from(count) + self.offset).max(0) as u32).collect())
    }
}
