//! Every operation, answered alike.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;

use super::super::fixture::spec;
use super::super::{Engine, EngineFailure, Image, ImageName, LogPiece};
use super::bed::{Guard, Which, engine, fresh_name, idle};
use crate::host::container_spec::{Ipc, Labels};
use crate::host::{ContainerSpec, HostPath, Program};

super::both_engines_pass! {
    it_describes_itself,
    every_setting_arrives,
    the_nodes_ipc_arrives,
    no_entrypoint_is_none,
    what_cannot_be_created_says_why,
    a_container_lives_and_ends,
    only_our_own_are_listed,
    somebody_elses_is_left_alone,
    a_log_is_followed_to_its_end,
    a_log_since_the_start_has_times,
    an_image_is_described,
    an_image_travels_and_is_named_and_removed,
    a_broken_image_is_refused,
    an_image_is_built_and_has_no_name,
    a_pull_that_fails_says_why,
}

// Without `the_nodes_ipc_arrives`, because its containers are in no namespaces, which take root; and without
// `an_image_is_built_and_has_no_name`, because it has no builder: one that would pass is as large as the rest.
super::the_look_alike_passes! {
    it_describes_itself,
    every_setting_arrives,
    no_entrypoint_is_none,
    what_cannot_be_created_says_why,
    a_container_lives_and_ends,
    only_our_own_are_listed,
    somebody_elses_is_left_alone,
    a_log_is_followed_to_its_end,
    a_log_since_the_start_has_times,
    an_image_is_described,
    an_image_travels_and_is_named_and_removed,
    a_broken_image_is_refused,
    a_pull_that_fails_says_why,
}

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

async fn it_describes_itself<E: Which>() {
    let engine = engine::<E>().await;
    let facts = engine.facts().await.unwrap();
    assert_eq!((facts.engine, &*facts.version, facts.api), (engine.kind(), engine.version(), engine.api()));
    assert!(facts.storage_driver.starts_with("overlay"), "{facts:?}");
    assert!(facts.root.starts_with('/') && !facts.architecture.is_empty(), "{facts:?}");
    assert!(!facts.gpus.nvidia_runtime, "{facts:?}");
}

async fn inspected(engine: &Engine, made: &Guard) -> ContainerInspectResponse {
    engine.calls.inspect_container(made.container.id(), None).await.unwrap()
}

async fn every_setting_arrives<E: Which>() {
    let engine = engine::<E>().await;
    // Created only: this machine need not allow all of it.
    let asked = ContainerSpec {
        volumes: vec!["/tmp:/host/tmp:ro".parse().unwrap(), "/var:/host/var".parse().unwrap()],
        ..spec("spark-test:python", &fresh_name())
    };
    let made = Guard::create(&engine, &asked).await;
    let found = inspected(&engine, &made).await;
    let config = found.config.unwrap();
    let of_host = found.host_config.unwrap();
    assert_eq!(of_host.network_mode.as_deref(), Some("host"));
    // Podman 4.3 calls every namespace shareable; the next test sees what it is.
    assert!(matches!(of_host.ipc_mode.as_deref(), Some("private" | "shareable")), "{:?}", of_host.ipc_mode);
    assert_eq!(of_host.shm_size, Some(64 << 20));
    let limits: BTreeMap<String, (i64, i64)> = of_host
        .ulimits
        .unwrap()
        .into_iter()
        .map(|limit| {
            let name = limit.name.unwrap().to_lowercase();
            (name.trim_start_matches("rlimit_").to_owned(), (limit.soft.unwrap(), limit.hard.unwrap()))
        })
        .collect();
    assert_eq!(limits.get("nofile"), Some(&(1024, 2048)), "{limits:?}");
    assert_eq!(limits.get("stack"), Some(&(67_108_864, 67_108_864)), "{limits:?}");
    let capabilities = of_host.cap_add.unwrap();
    assert!(
        capabilities.iter().any(|name| name.trim_start_matches("CAP_") == "IPC_LOCK"),
        "{capabilities:?}"
    );
    let restart = of_host.restart_policy.unwrap();
    assert_eq!(
        (restart.name.unwrap().to_string().as_str(), restart.maximum_retry_count),
        ("on-failure", Some(3))
    );
    let mounts: BTreeMap<String, (String, bool)> = found
        .mounts
        .unwrap()
        .into_iter()
        .map(|mount| (mount.destination.unwrap(), (mount.source.unwrap(), mount.rw.unwrap())))
        .collect();
    assert_eq!(mounts.get("/host/tmp"), Some(&("/tmp".into(), false)), "{mounts:?}");
    assert_eq!(mounts.get("/host/var"), Some(&("/var".into(), true)), "{mounts:?}");
    assert!(config.env.unwrap().contains(&"GREETING=hello world".to_owned()));
    assert_eq!(config.entrypoint.unwrap(), ["sh", "-c"]);
    assert_eq!(config.cmd.unwrap(), ["sleep infinity"]);
    let labels = config.labels.unwrap();
    for (key, value) in asked.labels.pairs() {
        assert_eq!(labels.get(&key), Some(&value));
    }
    assert_eq!(found.name.unwrap().trim_start_matches('/'), asked.name);
}

async fn the_nodes_ipc_arrives<E: Which>() {
    let engine = engine::<E>().await;
    // The test cluster's nodes share the machine's.
    let of_node = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    for (ipc, same) in [(Ipc::Host, true), (Ipc::Private, false)] {
        // With a size, which means nothing in the node's namespace, as some clusters are set up.
        let made =
            Guard::running(&engine, &ContainerSpec { ipc: Some(ipc), ..idle("spark-test:python") }).await;
        let host = engine.within_container(&made.container);
        let mut process = host.start(&Program::new("readlink", ["/proc/self/ns/ipc"])).await.unwrap();
        let mut found = String::new();
        process.output.read_to_string(&mut found).await.unwrap();
        assert!(found.starts_with("ipc:"), "{found}");
        assert_eq!(of_node.to_str() == Some(found.trim()), same, "{ipc}: {found}");
    }
}

/// A device shows only in a container that runs, where the engine is Podman.
async fn has_device(engine: &Engine, made: &Guard, path: &str) -> bool {
    let devices = inspected(engine, made).await.host_config.unwrap().devices.unwrap_or_default();
    devices.iter().any(|device| device.path_in_container.as_deref() == Some(path))
}

async fn no_entrypoint_is_none<E: Which>() {
    let engine = engine::<E>().await;
    let asked = ContainerSpec {
        entrypoint: Some(Vec::new()),
        command: vec!["sleep".into(), "infinity".into()],
        devices: vec!["/dev/null:/dev/nothing:rwm".parse().unwrap()],
        ..idle("spark-test:python")
    };
    let made = Guard::running(&engine, &asked).await;
    assert!(engine.is_running(&made.container).await.unwrap());
    let found = inspected(&engine, &made).await;
    assert_eq!(found.path.as_deref(), Some("sleep"));
    assert!(has_device(&engine, &made, "/dev/nothing").await);
}

async fn refused(engine: &Engine, asked: &ContainerSpec) -> EngineFailure {
    let variables = asked.variables(|_| None).unwrap();
    engine.create(asked, &variables, &HostPath::new("/root")).await.unwrap_err().what
}

async fn what_cannot_be_created_says_why<E: Which>() {
    let engine = engine::<E>().await;
    let good = idle("spark-test:python");
    let made = Guard::create(&engine, &good).await;
    let why = refused(&engine, &good).await;
    assert!(matches!(&why, EngineFailure::NameTaken(name) if *name == made.container.name()), "{why}");
    let why = refused(&engine, &ContainerSpec { image: "no-such-image:x".into(), ..idle("x") }).await;
    assert!(matches!(&why, EngineFailure::NoImage(name) if name == "no-such-image:x"), "{why}");
    let why = refused(&engine, &ContainerSpec { name: "a/b".into(), ..good.clone() }).await;
    assert!(matches!(&why, EngineFailure::BadName(name) if name == "a/b"), "{why}");
    let missing = ContainerSpec { entrypoint: Some(vec!["/no/program".into()]), ..idle("spark-test:python") };
    let made = Guard::create(&engine, &missing).await;
    let why = engine.start(&made.container).await.unwrap_err();
    assert!(
        matches!(&why.what, EngineFailure::Refused { message, .. } if message.contains("no such file")),
        "{why:?}"
    );
}

async fn a_container_lives_and_ends<E: Which>() {
    let engine = engine::<E>().await;
    let made = Guard::create(&engine, &idle("spark-test:python")).await;
    assert!(!engine.is_running(&made.container).await.unwrap());
    for _ in 0..2 {
        engine.start(&made.container).await.unwrap();
        assert!(engine.is_running(&made.container).await.unwrap());
    }
    assert_eq!(engine.own(made.container.name()).await.unwrap(), made.container);
    for _ in 0..2 {
        engine.stop(&made.container, Duration::ZERO).await.unwrap();
        assert!(!engine.is_running(&made.container).await.unwrap());
    }
    engine.start(&made.container).await.unwrap();
    for _ in 0..2 {
        engine.remove(&made.container).await.unwrap();
    }
    let name = made.container.name();
    for error in [
        engine.own(name).await.unwrap_err(),
        engine.is_running(&made.container).await.unwrap_err(),
        engine.start(&made.container).await.unwrap_err(),
        engine.stop(&made.container, Duration::ZERO).await.unwrap_err(),
    ] {
        assert!(matches!(&error.what, EngineFailure::NoContainer(gone) if gone == name), "{error:?}");
    }
}

async fn only_our_own_are_listed<E: Which>() {
    let engine = engine::<E>().await;
    let owner = fresh_name();
    let labels =
        Labels { cluster: "test".into(), purpose: "list".into(), owner: owner.clone(), ..Labels::default() };
    let of_owner = BTreeMap::from([(format!("{}owner", Labels::PREFIX), owner)]);
    assert_eq!(engine.list(&of_owner).await.unwrap(), []);
    let running =
        Guard::running(&engine, &ContainerSpec { labels: labels.clone(), ..idle("spark-test:python") }).await;
    let idle = ContainerSpec { labels: labels.clone(), ..idle("spark-test:no-python") };
    let created = Guard::create(&engine, &idle).await;
    let mut listed = engine.list(&of_owner).await.unwrap();
    listed.sort_by_key(|listed| !listed.running);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!((&listed[0].container, listed[0].running), (&running.container, true));
    assert_eq!((&listed[1].container, listed[1].running), (&created.container, false));
    assert!(listed[0].image.ends_with("spark-test:python"), "{listed:?}");
    assert!(labels.pairs().iter().all(|(key, value)| listed[1].labels.get(key) == Some(value)));
    let other = BTreeMap::from([(format!("{}owner", Labels::PREFIX), "nobody at all".to_owned())]);
    assert_eq!(engine.list(&other).await.unwrap(), []);
}

async fn somebody_elses_is_left_alone<E: Which>() {
    let engine = engine::<E>().await;
    let name = fresh_name();
    let options =
        bollard::query_parameters::CreateContainerOptions { name: Some(name.clone()), ..Default::default() };
    let body = ContainerCreateBody {
        image: Some("spark-test:python".into()),
        host_config: Some(HostConfig { network_mode: Some("host".into()), ..Default::default() }),
        ..Default::default()
    };
    let theirs = engine.calls.create_container(Some(options), body).await.unwrap().id;
    let error = engine.own(&name).await.unwrap_err();
    let listed = engine.list(&BTreeMap::new()).await.unwrap();
    engine.calls.remove_container(&theirs, None).await.unwrap();
    assert!(matches!(&error.what, EngineFailure::NotOurs(found) if *found == name), "{error:?}");
    assert!(listed.iter().all(|listed| listed.container.id() != theirs), "{listed:?}");
}

async fn a_log_is_followed_to_its_end<E: Which>() {
    let engine = engine::<E>().await;
    let script = "echo one; echo two >&2; sleep 0.5; echo three";
    let asked = ContainerSpec { command: vec![script.into()], ..idle("spark-test:python") };
    let made = Guard::running(&engine, &asked).await;
    let pieces: Vec<_> = engine.follow(&made.container).collect().await;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece.unwrap() {
            LogPiece::Output(bytes) => output.extend(bytes),
            LogPiece::Error(bytes) => errors.extend(bytes),
        }
    }
    assert_eq!((&*output, &*errors), (&b"one\nthree\n"[..], &b"two\n"[..]));
}

async fn a_log_since_the_start_has_times<E: Which>() {
    let engine = engine::<E>().await;
    let script = "echo one; echo two >&2; sleep 3";
    let asked = ContainerSpec {
        command: vec![script.into()],
        volumes: vec!["/var:/host/var".parse().unwrap()],
        ..idle("spark-test:python")
    };
    let made = Guard::running(&engine, &asked).await;
    let mut lives = Vec::new();
    for _ in 0..2 {
        // The lines of this life and the one before.
        engine.follow(&made.container).take(2 * (lives.len() + 1)).for_each(|_| async {}).await;
        let log = engine.log_since_start(made.container.name()).await.unwrap();
        assert!(
            log.mounts.contains(&(HostPath::new("/var"), HostPath::new("/host/var"))),
            "{:?}",
            log.mounts
        );
        let pieces: Vec<LogPiece> = log.pieces.map(Result::unwrap).collect().await;
        let text = |piece: &LogPiece| match piece {
            LogPiece::Output(bytes) => format!("out {}", String::from_utf8_lossy(bytes)),
            LogPiece::Error(bytes) => format!("err {}", String::from_utf8_lossy(bytes)),
        };
        let said: String = pieces.iter().map(text).collect();
        let time_of = |line: &str| {
            let (before, _) = said.rsplit_once(line).unwrap_or_else(|| panic!("{said}"));
            before.rsplit(' ').next().unwrap().parse::<jiff::Timestamp>().unwrap()
        };
        let (out, err) = (time_of(" one\n"), time_of(" two\n"));
        assert!(said.contains("out ") && said.contains("err "), "{said}");
        // Podman's times of lines are whole seconds.
        let not_before = |ended: jiff::Timestamp| ended.as_second() <= out.min(err).as_second();
        assert!(log.ended.is_none_or(|ended| not_before(ended) && ended < log.started), "{said}");
        lives.push((log.started, log.ended));
        engine.follow(&made.container).for_each(|_| async {}).await;
        while engine.is_running(&made.container).await.unwrap() {}
        let error = engine.log_since_start(made.container.name()).await.err().unwrap();
        assert!(matches!(error.what, EngineFailure::NotUp(_)), "{error:?}");
        engine.start(&made.container).await.unwrap();
    }
    let [(first, never), (second, ended)] = lives[..] else { panic!("{lives:?}") };
    assert!(never.is_none() && ended.is_some_and(|ended| first < ended && ended < second), "{lives:?}");
    let error = engine.log_since_start("no-such-container").await.err().unwrap();
    assert!(matches!(error.what, EngineFailure::NoContainer(_)), "{error:?}");
}

async fn an_image_is_described<E: Which>() {
    let engine = engine::<E>().await;
    let image = engine.image(&name("spark-test:python")).await.unwrap();
    assert!(image.id.starts_with("sha256:") && image.id.len() == 71, "{image:?}");
    assert_eq!(image.config_digest.as_ref(), Some(&image.id));
    assert_eq!(image.layers.len(), 1);
    assert!(image.tags.iter().any(|tag| tag.ends_with("spark-test:python")), "{image:?}");
    assert!(!image.architecture.is_empty() && image.bytes > 1 << 20, "{image:?}");
    let by_id = engine.image(&name(&image.id)).await.unwrap();
    assert_eq!(by_id, image);
    let error = engine.image(&name("no-such-image:x")).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::NoImage(name) if name == "no-such-image:x"), "{error:?}");
}

async fn saved(engine: &Engine, image: &str) -> Vec<Bytes> {
    let pieces = engine.save(&name(image)).await.unwrap();
    pieces.map(Result::unwrap).collect().await
}

async fn an_image_travels_and_is_named_and_removed<E: Which>() {
    let engine = engine::<E>().await;
    let before = engine.image(&name("spark-test:no-python")).await.unwrap();
    let ours = format!("localhost/{}:x", fresh_name());
    engine.tag(&name("spark-test:no-python"), &name(&ours)).await.unwrap();
    let tar = saved(&engine, &ours).await;
    engine.remove_image(&name(&ours)).await.unwrap();
    assert!(matches!(engine.image(&name(&ours)).await.unwrap_err().what, EngineFailure::NoImage(_)));
    let mut told = 0;
    let pieces = stream::iter(tar.into_iter().map(Ok));
    let names = engine.load(pieces, |_| told += 1).await.unwrap();
    assert_eq!((names, told > 0), (vec![ours.clone()], true));
    let after: Image = engine.image(&name(&ours)).await.unwrap();
    assert_eq!((after.id, after.layers), (before.id, before.layers));
    engine.remove_image(&name(&ours)).await.unwrap();
    for error in [
        engine.remove_image(&name(&ours)).await.unwrap_err(),
        engine.tag(&name(&ours), &name("a:b")).await.unwrap_err(),
        engine.save(&name(&ours)).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(&error.what, EngineFailure::NoImage(gone) if *gone == ours), "{error:?}");
    }
}

async fn a_broken_image_is_refused<E: Which>() {
    let engine = engine::<E>().await;
    let mut tar = saved(&engine, "spark-test:no-python").await.concat();
    tar.truncate(tar.len() / 2);
    let half = Bytes::from(tar);
    let whole = half.clone();
    let error = engine.load(stream::iter([Ok(whole)]), |_| {}).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::Refused { .. }), "{error:?}");
    let broken = io::Error::new(io::ErrorKind::ConnectionReset, "the far node is gone");
    let error = engine.load(stream::iter([Ok(half), Err(broken)]), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("the far node is gone"), "{error}");
    let error = engine.load(stream::iter([Ok(Bytes::from_static(b"no tar"))]), |_| {}).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::Refused { .. }), "{error:?}");
}

fn context(dockerfile: &str) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in [("Dockerfile", dockerfile), ("files/a, [b].json", "{}")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().into()
}

async fn an_image_is_built_and_has_no_name<E: Which>() {
    let engine = engine::<E>().await;
    let base = engine.image(&name("spark-test:no-python")).await.unwrap();
    let label = fresh_name();
    let dockerfile =
        format!("FROM {}\nCOPY [\"files/\",\"/a b/\"]\nLABEL \\\n x.y=\"{label} \\\"\\$\\\\\"\n", base.id);
    let mut told = Vec::new();
    let built = engine.build(context(&dockerfile), |progress| told.push(progress.status)).await.unwrap();
    assert_eq!(built.labels["x.y"], format!("{label} \"$\\"));
    assert_eq!(built.layers.strip_prefix(&base.layers[..]).map(<[String]>::len), Some(1), "{built:?}");
    assert!(built.tags.is_empty(), "{built:?}");
    assert!(told.iter().any(|status| status.contains("COPY")), "{told:?}");
    let held = Guard::running(&engine, &idle(&built.id)).await;
    let cat = held.engine.attach(&held.container, ["cat", "/a b/a, [b].json"].map(str::to_owned).to_vec());
    let mut text = String::new();
    cat.await.unwrap().output.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "{}");
    drop(held);
    engine.remove_image(&name(&built.id)).await.unwrap();

    for (bad, words) in [("FROM", "FROM"), (&*format!("FROM {}\nCOPY none/ /\n", base.id), "none")] {
        let error = engine.build(context(bad), |_| ()).await.unwrap_err();
        assert!(matches!(&error.what, EngineFailure::Refused { .. }), "{bad}: {error:?}");
        assert!(error.to_string().contains(words), "{bad}: {error}");
    }
}

async fn a_pull_that_fails_says_why<E: Which>() {
    let engine = engine::<E>().await;
    // Nobody listens on port 1.
    let error = engine.pull(&name("localhost:1/nothing:x"), |_| {}).await.unwrap_err();
    assert!(matches!(&error.what, EngineFailure::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("connection refused"), "{error}");
}
