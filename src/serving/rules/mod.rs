//! What is known of releases that do not do what they are told: refused, mended or said before anything starts.
//!
//! Rules are data, `profiles/rules/*.toml`, each with the releases it holds for and its source, so that a wrong one dies
//! with its release. A plan is held against all of them; what came of it is said with the reason.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kind::ServingEngine;
use super::release::Release;
use super::split::Split;

/// All rules.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Vec<Rule>);

/// One rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// What messages call it.
    id: String,
    /// The engine it is about.
    engine: ServingEngine,
    /// The first release that it holds for; all before `before` where not given.
    since: Option<Release>,
    /// The first release that it no longer holds for.
    before: Option<Release>,
    /// When it holds; every condition must.
    #[serde(default)]
    when: Condition,
    /// What is done then.
    #[serde(rename = "do")]
    then: RuleAction,
    /// Arguments added.
    #[serde(default)]
    arguments: Vec<String>,
    /// Variables set, unless the recipe or the inventory sets them.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Why, in a sentence.
    says: String,
    /// How that is known.
    source: String,
}

/// What a rule does where it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleAction {
    /// Nothing is started.
    Refuse,
    /// It is said.
    Warn,
    /// Arguments or variables are added.
    Add,
}

/// When a rule holds. What is not given is no condition.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Condition {
    /// More nodes than this.
    nodes_above: Option<usize>,
    /// A larger tensor parallelism.
    tp_above: Option<u32>,
    /// A larger pipeline parallelism.
    pp_above: Option<u32>,
    /// A longer context, tokens; one that is not given is as long as the model has it, and holds.
    context_above: Option<u64>,
    /// Speculative decoding by one of these methods, in any case.
    speculative: Option<Vec<String>>,
    /// One of these GPUs on a node at least.
    gpu: Option<Vec<String>>,
    /// GPUs of several kinds.
    mixed_gpus: Option<bool>,
    /// One of these architectures.
    architecture: Option<Vec<String>>,
    /// Whether Ray places the ranks.
    ray: Option<bool>,
    /// None of these arguments among the recipe's own.
    without: Option<Vec<String>>,
}

/// What rules ask of a plan.
#[derive(Debug, Clone)]
pub(super) struct Situation<'a> {
    pub(super) engine: ServingEngine,
    /// The release; none where nobody knows it.
    pub(super) release: Option<&'a Release>,
    pub(super) nodes: usize,
    pub(super) split: Split,
    pub(super) context: Option<u64>,
    pub(super) speculative: Option<&'a str>,
    /// Each node's GPU, as torch names it; empty where nobody knows any.
    pub(super) gpus: Vec<&'a str>,
    pub(super) architecture: Option<&'a str>,
    pub(super) ray: bool,
    pub(super) arguments: &'a [String],
}

/// What a rule had to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    /// The rule.
    pub(crate) rule: String,
    /// What it did.
    pub(crate) kind: NoticeKind,
    /// What was added, as one writes it.
    pub(crate) added: Vec<String>,
    /// Why.
    pub(crate) says: String,
    /// How that is known.
    pub(crate) source: String,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoticeKind {
    /// It keeps the plan from being carried out.
    Refused,
    /// It said something.
    Warned,
    /// It added something.
    Added,
}

/// What all rules together come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    pub(super) notices: Vec<Notice>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
}

impl Rules {
    /// The ids of all rules.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| rule.id.as_str())
    }

    /// Hold all rules against a plan but those that are waived, by their ids.
    pub(super) fn judge(&self, situation: &Situation<'_>, waived: &[String]) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for rule in self.0.iter().filter(|rule| !waived.contains(&rule.id)) {
            let Some(certainty) = rule.holds(situation) else { continue };
            let kind = match (rule.then, certainty) {
                (RuleAction::Refuse, Certainty::Certain) => NoticeKind::Refused,
                // Of a release that nobody knows it may be untrue.
                (RuleAction::Refuse, Certainty::ReleaseUnknown)
                | (RuleAction::Warn, _)
                | (_, Certainty::GpuUnknown) => NoticeKind::Warned,
                (RuleAction::Add, _) => NoticeKind::Added,
            };
            let says = match certainty {
                Certainty::Certain => rule.says.clone(),
                Certainty::ReleaseUnknown => format!("{} ({}, if it is that)", rule.says, rule.releases()),
                Certainty::GpuUnknown => {
                    let gpus = rule.when.gpu.iter().flatten().cloned().collect::<Vec<_>>().join(" or ");
                    format!("{} (with {gpus}; no node's GPU is known)", rule.says)
                }
            };
            let mut added = rule.arguments.clone();
            added.extend(rule.environment.iter().map(|(name, value)| format!("{name}={value}")));
            if kind == NoticeKind::Added {
                verdicts.arguments.extend(rule.arguments.iter().cloned());
                verdicts.environment.extend(rule.environment.clone());
            }
            let (id, source) = (rule.id.clone(), rule.source.clone());
            verdicts.notices.push(Notice { rule: id, kind, added, says, source });
        }
        verdicts
    }
}

/// How sure it is that a rule holds.
#[derive(Debug, Clone, Copy)]
enum Certainty {
    Certain,
    ReleaseUnknown,
    GpuUnknown,
}

impl Rule {
    fn holds(&self, at: &Situation<'_>) -> Option<Certainty> {
        let bounded = self.since.is_some() || self.before.is_some();
        let certainty = match at.release {
            None if bounded => Certainty::ReleaseUnknown,
            None => Certainty::Certain,
            Some(release) => {
                let late = self.since.as_ref().is_none_or(|since| release >= since);
                let early = self.before.as_ref().is_none_or(|before| release < before);
                (late && early).then_some(Certainty::Certain)?
            }
        };
        let certainty = match self.when.gpu.is_some() && at.gpus.is_empty() {
            true => Certainty::GpuUnknown,
            false => certainty,
        };
        (self.engine == at.engine && self.when.holds(at)).then_some(certainty)
    }

    /// The releases it holds for, in words.
    fn releases(&self) -> String {
        let engine = self.engine.name();
        match (&self.since, &self.before) {
            (Some(since), Some(before)) => format!("{engine} from {since} to before {before}"),
            (Some(since), None) => format!("{engine} from {since} on"),
            (None, Some(before)) => format!("{engine} before {before}"),
            (None, None) => engine.to_owned(),
        }
    }
}

impl Condition {
    fn holds(&self, at: &Situation<'_>) -> bool {
        // Every field by name, so that a new one cannot be forgotten.
        let Self {
            nodes_above,
            tp_above,
            pp_above,
            context_above,
            speculative,
            gpu,
            mixed_gpus,
            architecture,
            ray,
            without,
        } = self;
        let named = |of: &Option<Vec<String>>, one: &str| {
            of.as_ref().is_none_or(|of| of.iter().any(|name| name.eq_ignore_ascii_case(one)))
        };
        let mixed = at.gpus.windows(2).any(|pair| pair[0] != pair[1]);
        nodes_above.is_none_or(|above| at.nodes > above)
            && tp_above.is_none_or(|above| at.split.tp > above)
            && pp_above.is_none_or(|above| at.split.pp > above)
            && context_above.is_none_or(|above| at.context.is_none_or(|context| context > above))
            && named(speculative, at.speculative.unwrap_or_default())
            && (gpu.is_none() || at.gpus.is_empty() || at.gpus.iter().any(|one| named(gpu, one)))
            && mixed_gpus.is_none_or(|wanted| wanted == mixed)
            && named(architecture, at.architecture.unwrap_or_default())
            && ray.is_none_or(|wanted| wanted == at.ray)
            && without.as_ref().is_none_or(|names| {
                let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
                !at.arguments.iter().map(name).any(|word| names.contains(&word))
            })
    }
}
