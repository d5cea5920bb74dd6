//! The arguments of what works with a cluster.

use super::{BadArgument, Checked, default_cache};
use crate::cli::tune::args::{
    DeployArgs, DoctorArgs, EngineArg, FamilyArg, ImageArgs, ImageBuildArgs, ImageCommand, ImageListArgs,
    ImageSyncArgs, InitArgs, NodesArgs, PlaceArgs,
};
use crate::cluster::installed::Family;
use crate::cluster::inventory::EngineChoice;
use crate::commands::tune::deploy::{Action, DeploySettings, PlaceChoice};
use crate::commands::tune::doctor::DoctorSettings;
use crate::commands::tune::image::{BuildSettings, ImageAction, ImageSettings};
use crate::commands::tune::init::{BadNode, InitSettings};
use crate::commands::tune::nodes::NodesSettings;
use crate::host::container_spec::NodePath;
use crate::host::engine::ImageName;
use crate::host_name::{BadHostName, HostName};

pub(in crate::cli::tune) fn nodes(args: NodesArgs) -> Checked<NodesSettings> {
    let NodesArgs { cluster, node, env, control, data, set, options, command, fresh, cache, dry_run, json } =
        args;
    let assignment = |text: String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(BadArgument::NoAssignment(text)),
    };
    Ok(NodesSettings {
        cluster,
        nodes: names(&node)?,
        control,
        data,
        set: set.into_iter().map(assignment).collect::<Checked<_>>()?,
        env,
        options: options.then_some(command),
        fresh,
        cache: cache.or_else(default_cache).ok_or(BadArgument::NoCache)?,
        dry_run,
        json,
    })
}

pub(in crate::cli::tune) fn doctor(args: DoctorArgs) -> Checked<DoctorSettings> {
    let DoctorArgs { cluster, node, model, tp, profiles, load, cache, dry_run, verbose, json } = args;
    Ok(DoctorSettings {
        cluster,
        nodes: names(&node)?,
        models: model,
        tp,
        profiles,
        load,
        cache: cache.or_else(default_cache).ok_or(BadArgument::NoCache)?,
        dry_run,
        verbose,
        json,
    })
}

pub(in crate::cli::tune) fn deploy(args: DeployArgs) -> Checked<DeploySettings> {
    let DeployArgs { paths, cluster, status, verify, log, rollback, dry_run, place, runtime, profiles, json } =
        args;
    let place = self::place(place)?.unwrap_or(PlaceChoice::Inventory);
    let logs = log.into_iter().map(|text| node_path("--log", text)).collect::<Checked<_>>()?;
    let action = match (status, verify, rollback) {
        (true, _, _) => Action::Status,
        (_, true, _) => Action::Verify { logs },
        (_, _, true) => Action::Rollback,
        (false, false, false) => Action::Deploy { paths },
    };
    let family = runtime.map(|runtime| match runtime {
        FamilyArg::Sglang => Family::Sglang,
        FamilyArg::Vllm => Family::Vllm,
    });
    Ok(DeploySettings { cluster, action, dry_run, place, family, profiles, json })
}

/// The place that was named, if one was.
pub(in crate::cli::tune) fn place(args: PlaceArgs) -> Checked<Option<PlaceChoice>> {
    let PlaceArgs { container, virtualenv, host_dir } = args;
    Ok(match (container, virtualenv, host_dir) {
        (Some(name), _, _) => Some(PlaceChoice::Container(name)),
        (None, Some(text), _) => Some(PlaceChoice::Virtualenv(node_path("--virtualenv", text)?)),
        (None, None, Some(text)) => Some(PlaceChoice::HostDir(node_path("--host-dir", text)?)),
        (None, None, None) => None,
    })
}

fn node_path(option: &'static str, text: String) -> Checked<NodePath> {
    text.parse().map_err(|error| BadArgument::NodePath { option, error })
}

pub(in crate::cli::tune) fn image(ImageArgs { command }: ImageArgs) -> Checked<ImageSettings> {
    let name = |text: Option<String>| text.map(|text| text.parse::<ImageName>()).transpose();
    match command {
        ImageCommand::List(ImageListArgs { image, cluster, dry_run, json }) => {
            Ok(ImageSettings { cluster, image: name(image)?, action: ImageAction::List { dry_run }, json })
        }
        ImageCommand::Build(ImageBuildArgs {
            image,
            tuned,
            tag,
            cluster,
            on,
            no_sync,
            through_here,
            dry_run,
            profiles,
            json,
        }) => {
            let tag = tag.map(|text| text.parse()).transpose().map_err(BadArgument::Tag)?;
            let on = on.map(|text| text.parse()).transpose().map_err(BadArgument::On)?;
            let build = BuildSettings { tuned, tag, on, sync: !no_sync, through_here, dry_run, profiles };
            Ok(ImageSettings { cluster, image: name(image)?, action: ImageAction::Build(build), json })
        }
        ImageCommand::Sync(ImageSyncArgs { image, cluster, from, through_here, pull, dry_run, json }) => {
            let from = from.map(|text| text.parse()).transpose().map_err(BadArgument::From)?;
            let action = match pull {
                true => ImageAction::Pull { dry_run },
                false => ImageAction::Sync { from, through_here, dry_run },
            };
            Ok(ImageSettings { cluster, image: name(image)?, action, json })
        }
    }
}

pub(in crate::cli::tune) fn init(args: InitArgs) -> Checked<InitSettings> {
    let InitArgs { node, head, name, engine, image, discover, output, force, dry_run, yes } = args;
    Ok(InitSettings {
        output,
        force,
        dry_run,
        yes,
        name,
        nodes: node.iter().map(|text| text.parse()).collect::<Result<_, BadNode>>()?,
        head: head.as_deref().map(str::parse).transpose()?,
        engine: engine.map(|engine| match engine {
            EngineArg::Docker => EngineChoice::Docker,
            EngineArg::Podman => EngineChoice::Podman,
            EngineArg::None => EngineChoice::None,
        }),
        image,
        discover,
    })
}

/// Names of nodes, by `--node`.
fn names(texts: &[String]) -> Checked<Vec<HostName>> {
    texts.iter().map(|text| text.parse()).collect::<Result<_, BadHostName>>().map_err(BadArgument::NodeName)
}
