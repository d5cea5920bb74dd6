//! What may be asked of which tuner.

use super::super::settings::{Destination, MoeSettings, Tuner};
use crate::failure::{Failure, Kind};
use crate::journal::{FILE_NAME, JournalError};
use crate::model::ByHand;
use crate::tuner::stock::plan::StockPlan;

/// What cannot be asked of a tuner.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotForTuner {
    /// The race alone.
    #[error("{0} is for this program's own race, and the stock tuner takes none")]
    RaceOnly(&'static str),
    /// The stock tuner alone.
    #[error("{0} is for --tuner stock")]
    StockOnly(&'static str),
    /// vLLM's files.
    #[error(
        "--vllm is for --tuner stock: this program's own race compiles and times SGLang's kernel, which says nothing of vLLM's"
    )]
    VllmRaced,
    /// A layer that its script cannot be told of.
    #[error("the stock tuner reads the layer in the model's config.json: {0} says nothing to it")]
    ByHand(&'static str),
    /// No model at all.
    #[error("the stock tuner needs --model: it reads the layer in the model's config.json")]
    NoModel,
    /// Nowhere to run.
    #[error("the stock tuner runs where {runtime} is, and nothing says where that is")]
    Nowhere { runtime: &'static str },
}

impl Failure for NotForTuner {
    fn kind(&self) -> Kind {
        Kind::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Nowhere { runtime } => Some(format!(
                "name an --image, a --cluster, or with --python the interpreter of this machine that {runtime} is in"
            )),
            Self::VllmRaced => Some("--tuner stock runs vLLM's own benchmark_moe.py".into()),
            Self::RaceOnly(_) | Self::StockOnly(_) | Self::ByHand(_) | Self::NoModel => None,
        }
    }
}

/// Whether `settings` are for the stock tuner; of a run that goes on its journal says so.
pub(in crate::commands::tune::moe) fn is_for(settings: &MoeSettings) -> Result<bool, Box<dyn Failure>> {
    let stock = match &settings.destination {
        Destination::Resume(dir) => {
            let recorded = StockPlan::is_of(dir)?;
            let said = settings.tuner.map(|tuner| tuner == Tuner::Stock);
            if let Some(said) = said.filter(|said| *said != recorded) {
                let word = |stock| if stock { "stock" } else { "race" }.to_owned();
                let path = dir.join(FILE_NAME);
                let field = "tuner".to_owned();
                return Err(
                    JournalError::OtherPlan { path, field, was: word(recorded), now: word(said) }.into()
                );
            }
            recorded
        }
        _ => settings.tuner == Some(Tuner::Stock),
    };
    if !stock {
        if settings.stock.vllm.is_some() {
            return Err(NotForTuner::VllmRaced.into());
        }
        let said = [
            ("--stock-script", settings.stock.script.is_some()),
            ("--stock-silence", settings.stock.silence.is_some()),
        ];
        return match said.into_iter().find(|(_, said)| *said) {
            Some((flag, _)) => Err(NotForTuner::StockOnly(flag).into()),
            None => Ok(false),
        };
    }
    let limits = &settings.measuring.limits;
    let ByHand { experts, intermediate, hidden, top_k, gated: _, dtype: _, block_shape, per_channel: _ } =
        &settings.subject.by_hand;
    let of_race = [
        ("--policy", settings.policy.is_some()),
        ("--evidence", settings.evidence.is_some()),
        ("--incumbent", !settings.incumbents.is_empty()),
        ("--budget", limits.budget_s.is_some()),
        ("--strict", limits.strict),
        ("--jobs", settings.compiler.jobs.is_some()),
    ];
    let by_hand = [
        ("--experts", experts.is_some()),
        ("--intermediate", intermediate.is_some()),
        ("--hidden", hidden.is_some()),
        ("--top-k", top_k.is_some()),
        ("--block-shape", block_shape.is_some()),
    ];
    if let Some((flag, _)) = of_race.into_iter().find(|(_, said)| *said) {
        return Err(NotForTuner::RaceOnly(flag).into());
    }
    match by_hand.into_iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(NotForTuner::ByHand(flag).into()),
        None => Ok(true),
    }
}
