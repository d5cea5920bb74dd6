//! Literal arguments -> settings. Each structure is taken apart whole, so that a new flag cannot be
//! forgotten here without the compiler saying so.

mod mock;
mod serving;

use std::path::PathBuf;

pub(super) use self::mock::mock;
pub(super) use self::serving::{down, logs, models, plan, status, switch, up};
use super::args::{
    ArrivalArg, BackendArg, CalibrateArgs, CompareArgs, LengthsArg, LimitArgs, LoadArgs, OutputArgs,
    PaceArgs, ProfilesArgs, ProtocolArg, ReportArgs, RunArgs, ServerArgs, SweepArgs, WorkloadArgs,
};
use super::values::{self, Dataset, Limit, Objective, RateArg, ScrapeInterval, SloArg};
use super::variables::Variables;
use crate::bench::campaign::Conditions;
use crate::bench::plan::Protocol;
use crate::bench::profile::{
    ArrivalKind, ArrivalLayer, Bound, Layer, Layers, LengthKind, LimitsLayer, Origin, Profile, Profiles,
    Rate, ResolvedPlan, SamplingLayer, SloLayer, WorkloadKind, WorkloadLayer, fingerprint, resolve,
};
use crate::bench::target::ServerTarget;
use crate::commands::bench::calibrate::CalibrateSettings;
use crate::commands::bench::compare::CompareSettings;
use crate::commands::bench::nodes::NamedCluster;
use crate::commands::bench::profiles::ProfilesSettings;
use crate::commands::bench::report::ReportSettings;
use crate::commands::bench::run::RunSettings;
use crate::commands::bench::shared::SharedSettings;
use crate::commands::bench::sweep::{SweepAxis, SweepSettings, SweepStep};
use crate::failure::{Failure, Kind};
use crate::run_dir::Place;

/// A sweep's list that cannot be right.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: `{value}` is not accepted; expected {accepted}, each once, such as {example}")]
pub(super) struct BadList {
    flag: &'static str,
    value: String,
    accepted: &'static str,
    example: &'static str,
}

impl Failure for BadList {
    fn kind(&self) -> Kind {
        Kind::Input
    }
}

type Settings<T> = Result<T, Box<dyn Failure>>;

pub(super) fn run(args: RunArgs, variables: &Variables) -> Settings<RunSettings> {
    let RunArgs {
        server,
        load,
        workload,
        concurrency,
        rate,
        ramp,
        trace,
        trace_scale,
        pace,
        limits,
        output,
        repeat,
    } = args;
    let PaceArgs { arrival, burstiness } = pace;
    let arrival = ArrivalLayer {
        kind: arrival.map(arrival_kind),
        rate: rate.map(|rate| match rate {
            RateArg::PerSecond(rate) => Rate::PerSecond(rate),
            RateArg::Unlimited => Rate::Unlimited,
        }),
        burstiness,
        from_rate: ramp.map(|(from, _)| from),
        to_rate: ramp.map(|(_, to)| to),
        file: trace,
        scale: trace_scale,
    };
    let concurrency = concurrency.map(|limit| match limit {
        Limit::At(limit) => Bound::At(limit),
        Limit::Without => Bound::Without,
    });
    let said = said(server, load, workload, limits, output, variables)?;
    let layer = Layer { arrival, concurrency, ..said.layer };
    let resolved = resolved(said.profile.as_ref(), &layer)?;
    Ok(RunSettings { resolved, with: said.with, repeat })
}

pub(super) fn sweep(args: SweepArgs, variables: &Variables) -> Settings<SweepSettings> {
    let SweepArgs { server, load, workload, concurrency, rate, pace, limits, output } = args;
    let PaceArgs { arrival, burstiness } = pace;
    let (axis, places) = match (concurrency, rate) {
        (Some(list), _) => {
            let places = values::list(&list, |one| one.parse::<u32>().ok()).ok_or(BadList {
                flag: "--concurrency",
                value: list,
                accepted: "whole numbers with commas between",
                example: "1,2,4,8",
            })?;
            (SweepAxis::Concurrency, places.into_iter().map(f64::from).collect::<Vec<_>>())
        }
        (None, list) => {
            let list = list.unwrap_or_default();
            let one = |one: &str| one.parse::<f64>().ok().filter(|rate| rate.is_finite());
            let places = values::list(&list, one).ok_or(BadList {
                flag: "--rate",
                value: list,
                accepted: "numbers of requests per second with commas between",
                example: "0.5,1,2",
            })?;
            (SweepAxis::Rate, places)
        }
    };
    let said = said(server, load, workload, limits, output, variables)?;
    let mut steps = Vec::new();
    for at in places {
        let mut layer = said.layer.clone();
        layer.arrival = ArrivalLayer { kind: arrival.map(arrival_kind), burstiness, ..Default::default() };
        match axis {
            // Was read as a whole number above.
            SweepAxis::Concurrency => layer.concurrency = Some(Bound::At(at as u32)),
            SweepAxis::Rate => layer.arrival.rate = Some(Rate::PerSecond(at)),
        }
        steps.push(SweepStep { at, resolved: resolved(said.profile.as_ref(), &layer)? });
    }
    Ok(SweepSettings { axis, steps, with: said.with })
}

pub(super) fn compare(args: CompareArgs) -> CompareSettings {
    let CompareArgs { a, b, threshold, ignore_plan, html, json } = args;
    CompareSettings { a, b, threshold, ignore_plan, html, json }
}

pub(super) fn report(args: ReportArgs) -> ReportSettings {
    let ReportArgs { dir, html, plots, json } = args;
    ReportSettings { dir, html, plots, json }
}

pub(super) fn calibrate(args: CalibrateArgs) -> CalibrateSettings {
    let CalibrateArgs { quick, json } = args;
    CalibrateSettings { quick, json }
}

pub(super) fn profiles(args: ProfilesArgs) -> ProfilesSettings {
    let ProfilesArgs { profiles, json } = args;
    ProfilesSettings { profiles, json }
}

/// What `run` and `sweep` make of the flags they share.
struct Said {
    profile: Option<(Profile, Origin)>,
    /// All but arrival and concurrency.
    layer: Layer,
    with: SharedSettings,
}

fn said(
    server: ServerArgs,
    load: LoadArgs,
    workload: WorkloadArgs,
    limits: LimitArgs,
    output: OutputArgs,
    variables: &Variables,
) -> Settings<Said> {
    let ServerArgs { base_url, model, protocol, backend, ca_cert, cluster, server_metrics_interval } = server;
    let LoadArgs { profile, profiles, requests, warmup, seed, slo } = load;
    let OutputArgs { out, results, parquet, no_html, keep_text, json, dry_run } = output;
    let (base_url, target_origin) = variables.base_url(base_url);
    let target = ServerTarget::new(&base_url, variables.api_key())?;
    let profile = match variables.profile(profile) {
        Some((query, origin)) => Some((find(profiles, &query)?, origin)),
        None => None,
    };
    let (workload, sampling, tokenizer) = self::workload(workload);
    let layer = Layer {
        about: None,
        model,
        protocol: protocol.map(self::protocol).or(backend.map(self::backend)),
        requests,
        workload,
        arrival: ArrivalLayer::default(),
        concurrency: None,
        warmup,
        seed,
        sampling,
        limits: self::limits(limits),
        slo: slo.map(self::slo).unwrap_or_default(),
    };
    let conditions = Conditions {
        target,
        ca_cert,
        scrape_every: match server_metrics_interval {
            ScrapeInterval::Every(time) => Some(time),
            ScrapeInterval::Never => None,
        },
        tokenizer,
        keep_text,
    };
    let with = SharedSettings {
        conditions,
        target_origin,
        cluster: cluster.map(NamedCluster::read).transpose()?,
        out: out.map_or(Place::Below(results), Place::Exactly),
        parquet,
        html: !no_html,
        json,
        dry_run,
    };
    Ok(Said { profile, layer, with })
}

fn find(folder: Option<PathBuf>, query: &str) -> Settings<Profile> {
    Ok(Profiles::load(folder.as_deref())?.find(query)?)
}

fn resolved(profile: Option<&(Profile, Origin)>, flags: &Layer) -> Settings<ResolvedPlan> {
    let layers = Layers { profile: profile.map(|(profile, origin)| (profile, origin)), flags };
    Ok(resolve(layers, &|path| fingerprint(path))?)
}

fn workload(args: WorkloadArgs) -> (WorkloadLayer, SamplingLayer, Option<PathBuf>) {
    let WorkloadArgs {
        input,
        output,
        lengths,
        range_ratio,
        dataset,
        shared_prefix,
        turns,
        think,
        temperature,
        ignore_eos,
        no_ignore_eos,
        extra_body,
        tokenizer,
    } = args;
    let (kind, file) = match dataset {
        Some(Dataset::Sharegpt(file)) => (Some(WorkloadKind::Sharegpt), Some(file)),
        Some(Dataset::Jsonl(file)) => (Some(WorkloadKind::Jsonl), Some(file)),
        None => (None, None),
    };
    let workload = WorkloadLayer {
        kind,
        input_tokens: input,
        output_tokens: output,
        lengths: lengths.map(|lengths| match lengths {
            LengthsArg::Exact => LengthKind::Exact,
            LengthsArg::Uniform => LengthKind::Uniform,
        }),
        range_ratio,
        groups: shared_prefix.map(|(groups, _)| groups),
        prefix_tokens: shared_prefix.map(|(_, tokens)| tokens),
        turns,
        // More than the plan can hold is more than it accepts.
        think_ms: think.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        file,
    };
    let ignore_eos = match (ignore_eos, no_ignore_eos) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let sampling = SamplingLayer { temperature, ignore_eos, extra_body: extra_body.unwrap_or_default() };
    (workload, sampling, tokenizer)
}

fn limits(args: LimitArgs) -> LimitsLayer {
    let LimitArgs {
        connect_timeout,
        first_token_timeout,
        stall_timeout,
        request_timeout,
        max_answer_bytes,
        max_failed,
        retries,
    } = args;
    LimitsLayer {
        connect_s: connect_timeout,
        first_token_s: first_token_timeout,
        stall_s: stall_timeout,
        request_s: request_timeout,
        answer_bytes: max_answer_bytes,
        failed_share: max_failed,
        retries,
    }
}

fn slo(args: SloArg) -> SloLayer {
    let SloArg { ttft, tpot, e2e } = args;
    let bound = |objective| match objective {
        Objective::Unsaid => None,
        Objective::Ms(ms) => Some(Bound::At(ms)),
        Objective::Without => Some(Bound::Without),
    };
    SloLayer { ttft_ms: bound(ttft), tpot_ms: bound(tpot), e2e_ms: bound(e2e) }
}

fn protocol(arg: ProtocolArg) -> Protocol {
    match arg {
        ProtocolArg::Chat => Protocol::Chat,
        ProtocolArg::Completions => Protocol::Completions,
        ProtocolArg::Generate => Protocol::Generate,
    }
}

fn backend(arg: BackendArg) -> Protocol {
    match arg {
        BackendArg::Sglang | BackendArg::SglangNative => Protocol::Generate,
        BackendArg::SglangOai | BackendArg::Vllm => Protocol::Completions,
        BackendArg::SglangOaiChat | BackendArg::VllmChat => Protocol::Chat,
    }
}

fn arrival_kind(arg: ArrivalArg) -> ArrivalKind {
    match arg {
        ArrivalArg::AllAtOnce => ArrivalKind::AllAtOnce,
        ArrivalArg::ClosedLoop => ArrivalKind::ClosedLoop,
        ArrivalArg::Constant => ArrivalKind::Constant,
        ArrivalArg::Poisson => ArrivalKind::Poisson,
        ArrivalArg::Gamma => ArrivalKind::Gamma,
        ArrivalArg::Ramp => ArrivalKind::Ramp,
        ArrivalArg::Trace => ArrivalKind::Trace,
    }
}
