//! `sparktune replay`: a strategy against a recorded table, over many seeds.

use std::path::PathBuf;

use serde::Serialize;

use super::subject::{Subject, SubjectSettings, grouped};
use crate::artifact::Evidence;
use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::failure::Failure;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::tuner::plan::Policy;
use crate::tuner::replay::Disturbance;
use crate::tuner::replay::regret::{STOCK_RUNS, Spread, Trial, spread, trials};
use crate::tuner::replay::resolution::resolution;
use crate::tuner::strategy::Method;
use crate::tuner::table::{self, Statistic, TimingTable};

/// What the user said.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// Where the times come from.
    pub table: TableSource,
    /// Of a recorded table, only what fits this device.
    pub mask: Option<String>,
    /// How to search.
    pub method: Method,
    /// Seeds tried, from 0.
    pub seeds: u64,
    /// What an arm's true time is.
    pub truth: Statistic,
    /// What goes wrong while it measures.
    pub disturbance: Disturbance,
    /// Make every config the same: whatever is adopted is noise.
    pub identical: bool,
    /// Print one JSON object.
    pub json: bool,
}

/// Where a replay's times come from.
#[derive(Debug, Clone)]
pub enum TableSource {
    /// A table of `sparktune record`, or a Kernel Tuner cache.
    File(PathBuf),
    /// A look-alike of this catalogue model, on its default target.
    LookAlike(String),
}

#[derive(Debug, Serialize)]
struct Report {
    table: String,
    strategy: &'static str,
    seeds: u64,
    contests: usize,
    configs: usize,
    failing_configs: usize,
    /// Chosen time over the best, less one, over all seeds and batch sizes.
    regret_median: f64,
    regret_p95: f64,
    regret_max: f64,
    /// The largest regret of a choice that the table's own runs cannot tell from the best; none by medians, and
    /// where configs ran once.
    table_resolution: Option<f64>,
    /// Measuring time over that of every run in the table.
    cost_ratio: f64,
    exhaustive_regret_median: f64,
    exhaustive_regret_p95: f64,
    exhaustive_regret_max: f64,
    /// Simulated measuring time of one seed, mean.
    seconds: f64,
    exhaustive_seconds: f64,
    /// Kernel launches of one seed, mean, warm-ups included.
    launches: f64,
    /// What SGLang's tuner launches for as many configs.
    stock_launches: u64,
    launches_saved: f64,
    /// The kernel time of those launches alone: no compilation, no allocation, no flush.
    stock_seconds: f64,
    /// Seeds and contests in which a default was replaced; none where the table has no default.
    adoption_rate: Option<f64>,
    /// Seeds and contests that ended without a choice.
    undecided: usize,
    slowest_decision_ms: f64,
    mean_decision_ms: f64,
    by_batch_size: Vec<BatchSize>,
}

#[derive(Debug, Serialize)]
struct BatchSize {
    batch_size: u32,
    regret_median: f64,
    regret_p95: f64,
    regret_max: f64,
    exhaustive_regret_p95: f64,
}

/// Replay, and print what came of it.
pub async fn run(settings: &ReplaySettings, out: &mut dyn Output) -> CommandResult {
    let mut table = match &settings.table {
        TableSource::File(path) => super::table::read(path, settings.mask.as_deref())?,
        TableSource::LookAlike(model) => look_alike(model).await?,
    };
    if settings.identical {
        table = table.with_identical_arms();
    }
    let report = report(settings, &table);
    if settings.json {
        out.json(&serde_json::to_value(&report).expect("plain data always serialises"))
            .map_err(OutputError)?;
    } else {
        print(settings, &table, &report, out).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}

async fn look_alike(model: &str) -> Result<TimingTable, Box<dyn Failure>> {
    let subject = Subject::resolve(&SubjectSettings::of_model(model)).await?;
    let plan = subject.plan(STANDARD_BATCH_SIZES.to_vec(), Policy::RuntimeDefault, Evidence::Predicted);
    Ok(table::look_alike::table(&plan, &subject.device, 1))
}

fn report(settings: &ReplaySettings, table: &TimingTable) -> Report {
    let problem = &table.problem;
    let try_all = |method| trials(table, settings.truth, settings.disturbance, 0..settings.seeds, method);
    let ours = try_all(settings.method);
    let exhaustive = try_all(Method::Exhaustive(Default::default()));
    let every = |trial: &Trial| trial.regrets.iter().flatten().copied().collect();
    let of = |contest: usize| move |trial: &Trial| trial.regrets[contest].into_iter().collect();
    let none = Spread { median: f64::NAN, p95: f64::NAN, max: f64::NAN };
    let (all, their) = (spread(&ours, every).unwrap_or(none), spread(&exhaustive, every).unwrap_or(none));
    let mean =
        |trials: &[Trial], of: fn(&Trial) -> f64| trials.iter().map(of).sum::<f64>() / trials.len() as f64;
    let (configs, failing_configs) = table.size();
    let launches = mean(&ours, |trial| trial.launches as f64);
    let stock_launches = configs as u64 * STOCK_RUNS;
    let has_default = problem.contests.iter().any(|contest| contest.default.is_some());
    let decisions = settings.seeds as f64 * problem.contests.len() as f64;
    Report {
        table: table.title.clone(),
        strategy: settings.method.name(),
        seeds: settings.seeds,
        contests: problem.contests.len(),
        configs,
        failing_configs,
        regret_median: all.median,
        regret_p95: all.p95,
        regret_max: all.max,
        table_resolution: match settings.truth {
            Statistic::Mean => resolution(table),
            Statistic::Median => None,
        },
        cost_ratio: mean(&ours, |trial| trial.seconds) / (table.total_us() / 1e6),
        exhaustive_regret_median: their.median,
        exhaustive_regret_p95: their.p95,
        exhaustive_regret_max: their.max,
        seconds: mean(&ours, |trial| trial.seconds),
        exhaustive_seconds: mean(&exhaustive, |trial| trial.seconds),
        launches,
        stock_launches,
        launches_saved: stock_launches as f64 / launches,
        stock_seconds: table.one_run_each_us(settings.truth) / 1e6 * STOCK_RUNS as f64,
        adoption_rate: has_default
            .then(|| ours.iter().map(|trial| trial.adopted).sum::<usize>() as f64 / decisions),
        undecided: ours.iter().flat_map(|trial| &trial.regrets).filter(|regret| regret.is_none()).count(),
        slowest_decision_ms: ours.iter().map(|trial| trial.slowest_decision_s).fold(0.0, f64::max) * 1e3,
        mean_decision_ms: mean(&ours, |trial| trial.mean_decision_s) * 1e3,
        by_batch_size: problem
            .contests
            .iter()
            .enumerate()
            .filter_map(|(contest, data)| {
                let (ours, theirs) = (spread(&ours, of(contest))?, spread(&exhaustive, of(contest))?);
                Some(BatchSize {
                    batch_size: data.key,
                    regret_median: ours.median,
                    regret_p95: ours.p95,
                    regret_max: ours.max,
                    exhaustive_regret_p95: theirs.p95,
                })
            })
            .collect(),
    }
}

fn print(
    settings: &ReplaySettings,
    table: &TimingTable,
    report: &Report,
    out: &mut dyn Output,
) -> std::io::Result<()> {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    out.line(&format!(
        "  {}: {} configs ran, {} failed; {} seeds",
        table.title,
        grouped(report.configs as u64),
        grouped(report.failing_configs as u64),
        grouped(settings.seeds)
    ))?;
    let row = |name: &str, spread: [f64; 3], seconds: f64| {
        let mut row = vec![name.to_owned()];
        row.extend(spread.map(percent));
        row.push(format!("{seconds:.2} s"));
        row
    };
    let ours = [report.regret_median, report.regret_p95, report.regret_max];
    let theirs =
        [report.exhaustive_regret_median, report.exhaustive_regret_p95, report.exhaustive_regret_max];
    let header = ["strategy", "regret median", "p95", "max", "measuring"];
    let mut rows = vec![row(report.strategy, ours, report.seconds)];
    if !matches!(settings.method, Method::Exhaustive(_)) {
        rows.push(row("exhaustive", theirs, report.exhaustive_seconds));
    }
    out.table(&header, &rows)?;
    if let Some(resolution) = report.table_resolution.filter(|resolution| *resolution > 0.0) {
        out.line(&format!(
            "  the table's runs cannot tell the best from choices up to {} slower (95 %)",
            percent(resolution)
        ))?;
    }
    if report.by_batch_size.len() > 1 {
        let rows: Vec<Vec<String>> = report
            .by_batch_size
            .iter()
            .map(|it| {
                let regrets = [it.regret_median, it.regret_p95, it.regret_max, it.exhaustive_regret_p95];
                [vec![it.batch_size.to_string()], regrets.map(percent).to_vec()].concat()
            })
            .collect();
        out.table(&["batch size", "regret median", "p95", "max", "exhaustive p95"], &rows)?;
    }
    out.line(&format!(
        "  {} kernel launches against the stock tuner's {}: {:.0} times fewer; {} of the table's measuring time",
        grouped(report.launches as u64),
        grouped(report.stock_launches),
        report.launches_saved,
        percent(report.cost_ratio)
    ))?;
    if let Some(rate) = report.adoption_rate {
        let what = if settings.identical { "false adoptions" } else { "defaults replaced" };
        out.line(&format!("  {what}: {}", percent(rate)))?;
    }
    let (mean, slowest) = (report.mean_decision_ms, report.slowest_decision_ms);
    out.line(&format!("  a decision takes {mean:.3} ms, the slowest {slowest:.2} ms"))
}
