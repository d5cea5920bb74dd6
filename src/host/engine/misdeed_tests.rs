//! What is left, and what is said, where an engine does not do as it is told. The engine is a look-alike.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;
use tokio::io::AsyncReadExt;

use super::fixture::spec;
use super::look_alike::{LookAlikeEngine, Misdeed};
use super::{Engine, EngineError, EngineFailure, Listed, LogPiece, OwnContainer};
use crate::failure::{Failure, Kind};
use crate::host::container_spec::Restart;
use crate::host::{ContainerSpec, Ending, HostPath, Program};

const NAME: &str = "misdeed-test";

fn idles() -> ContainerSpec {
    ContainerSpec {
        ulimits: BTreeMap::new(),
        devices: Vec::new(),
        restart: Restart::No,
        ..spec("spark-test:python", NAME)
    }
}

async fn run(engine: &Engine, spec: &ContainerSpec) -> Result<OwnContainer, EngineError> {
    let variables = spec.variables(|_| None).unwrap();
    engine.run(spec, &variables, &HostPath::new("/root"), None).await
}

async fn create(engine: &Engine, spec: &ContainerSpec) -> Result<OwnContainer, EngineError> {
    let variables = spec.variables(|_| None).unwrap();
    engine.create(spec, &variables, &HostPath::new("/root")).await
}

async fn ours(engine: &Engine) -> Vec<Listed> {
    engine.list(&idles().labels.pairs()).await.unwrap()
}

/// `work`, whose limits of minutes pass at once, but only when the engine has been asked for what it does wrong.
async fn after_its_limit<T>(engine: &LookAlikeEngine, work: impl Future<Output = T>) -> T {
    let pass = async {
        while !engine.has_misbehaved() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3600)).await;
        tokio::time::resume();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = work => done,
        () = pass => unreachable!("it waits for ever"),
    }
}

#[tokio::test]
async fn a_container_that_does_not_start_is_not_there() {
    for misdeed in [Misdeed::Refuses(500), Misdeed::CutsOff, Misdeed::Hangs] {
        let look_alike = LookAlikeEngine::new();
        let engine = look_alike.connect().await;
        look_alike.expect(Method::POST, "/start", misdeed.clone());
        let spec = idles();
        let work = run(&engine, &spec);
        let ended = match misdeed {
            Misdeed::Hangs => after_its_limit(&look_alike, work).await,
            _ => work.await,
        };
        let error = ended.unwrap_err();
        assert!(
            match (&misdeed, &error.what) {
                (Misdeed::Refuses(_), EngineFailure::Refused { message, .. }) =>
                    message.contains("told to refuse"),
                (Misdeed::CutsOff, EngineFailure::Lost { .. }) => true,
                (Misdeed::Hangs, EngineFailure::TimedOut { seconds: 120, .. }) => true,
                _ => false,
            },
            "{misdeed:?}: {error:?}"
        );
        assert!(error.to_string().starts_with("n-test: "), "{error}");
        assert_eq!(error.kind(), Kind::Environment);
        assert_eq!(ours(&engine).await, [], "{misdeed:?}");
    }
}

#[tokio::test]
async fn a_container_whose_creation_is_not_answered_is_not_there() {
    let look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    look_alike.expect(Method::POST, "/create", Misdeed::CutsOff);
    let error = create(&engine, &idles()).await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "no name is taken: {error:?}");
    assert_eq!(ours(&engine).await, []);
    look_alike.expect(Method::POST, "/create", Misdeed::Hangs);
    let error = after_its_limit(&look_alike, create(&engine, &idles())).await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::TimedOut { .. }), "{error:?}");
    assert_eq!(ours(&engine).await, []);
    // One that cannot be removed again is named.
    look_alike.expect(Method::POST, "/create", Misdeed::CutsOff);
    look_alike.expect(Method::DELETE, "", Misdeed::Refuses(500));
    let error = create(&engine, &idles()).await.unwrap_err();
    assert!(
        matches!(&error.what, EngineFailure::LeftBehind { container, .. } if container == NAME),
        "{error:?}"
    );
    assert!(error.to_string().contains("could not be removed"), "{error}");
    assert_eq!(ours(&engine).await.len(), 1);
}

#[tokio::test]
async fn one_that_runs_under_the_name_is_no_rest_of_a_creation() {
    let look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    let runs = run(&engine, &idles()).await.unwrap();
    // Cut off is the engine's word that the name is taken.
    look_alike.expect(Method::POST, "/create", Misdeed::CutsOff);
    let error = create(&engine, &idles()).await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
    assert!(engine.is_running(&runs).await.unwrap());
    engine.stop(&runs, Duration::ZERO).await.unwrap();
    look_alike.expect(Method::POST, "/create", Misdeed::CutsOff);
    create(&engine, &idles()).await.unwrap_err();
    assert_eq!(ours(&engine).await.len(), 1, "one that ran has a log");
}

#[tokio::test]
async fn an_engine_that_dies_before_the_start_leaves_what_is_named_and_found() {
    let mut look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    look_alike.expect(Method::POST, "/start", Misdeed::Dies);
    let error = run(&engine, &idles()).await.unwrap_err();
    let EngineFailure::LeftBehind { container, first, why } = &error.what else { panic!("{error:?}") };
    assert_eq!(container, NAME);
    assert!(matches!(**first, EngineFailure::Lost { .. }), "{error:?}");
    assert!(matches!(**why, EngineFailure::NotRunning(_)), "{error:?}");
    assert!(error.to_string().starts_with("n-test: "), "{error}");
    assert!(error.hint().unwrap().contains("rm -f misdeed-test"), "{error:?}");
    // Nothing runs in it, and it is ours to remove once the engine is back.
    look_alike.serve();
    let listed = ours(&engine).await;
    assert_eq!(listed.iter().map(|it| (it.running, it.ended)).collect::<Vec<_>>(), [(false, false)]);
    engine.remove(&listed[0].container).await.unwrap();
    assert_eq!(ours(&engine).await, []);
    // One that dies before it has created anything leaves nothing.
    look_alike.expect(Method::POST, "/create", Misdeed::Dies);
    let error = run(&engine, &idles()).await.unwrap_err();
    assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
    look_alike.serve();
    assert_eq!(ours(&engine).await, []);
}

#[tokio::test]
async fn answers_that_are_cut_off_are_lost_whatever_was_asked() {
    let look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    let container = run(&engine, &idles()).await.unwrap();
    let image = "spark-test:python".parse().unwrap();
    let cut = |method, path| look_alike.expect(method, path, Misdeed::CutsOff);
    cut(Method::GET, "/info");
    let mut errors = vec![engine.facts().await.map(drop).unwrap_err()];
    cut(Method::GET, "python/json");
    errors.push(engine.image(&image).await.map(drop).unwrap_err());
    cut(Method::GET, "/containers/json");
    errors.push(engine.list(&BTreeMap::new()).await.map(drop).unwrap_err());
    cut(Method::GET, "/images/get");
    let pieces: Vec<_> = engine.save(&image).await.unwrap().collect().await;
    errors.push(pieces.into_iter().find_map(Result::err).expect("half an image is no image"));
    for error in errors {
        assert!(matches!(error.what, EngineFailure::Lost { .. }), "{error:?}");
        assert!(error.to_string().starts_with("n-test: "), "{error}");
    }
    engine.remove(&container).await.unwrap();
}

#[tokio::test]
async fn a_line_of_a_log_that_is_cut_is_an_error() {
    let look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    let speaks = ContainerSpec { command: vec!["echo one; sleep 60".into()], ..idles() };
    let container = run(&engine, &speaks).await.unwrap();
    let whole = engine.follow(&container).take(1).collect::<Vec<_>>().await;
    assert!(matches!(&whole[0], Ok(LogPiece::Output(bytes)) if **bytes == *b"one\n"), "{whole:?}");
    look_alike.expect(Method::GET, "/logs", Misdeed::CutsOff);
    let pieces: Vec<_> = engine.follow(&container).collect().await;
    assert!(matches!(&pieces[..], [Err(_)]), "{pieces:?}");
}

#[tokio::test]
async fn a_program_whose_streams_are_cut_is_lost() {
    let look_alike = LookAlikeEngine::new();
    let engine = look_alike.connect().await;
    let container = run(&engine, &idles()).await.unwrap();
    look_alike.expect(Method::POST, "/start", Misdeed::CutsOff);
    let argv = ["sh", "-c", "echo one; sleep 60"].map(str::to_owned).to_vec();
    let mut process = engine.attach(&container, argv).await.unwrap();
    let mut said = String::new();
    process.output.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "", "half a frame is none");
    let ending = process.end.ended().await;
    assert!(matches!(ending, Ending::Lost { .. }), "{ending}");
    // What the host is asked then says which node, and the next works again.
    look_alike.expect(Method::POST, "/exec", Misdeed::Refuses(500));
    let host = engine.within_container(&container);
    let error = host.start(&Program::new("true", [""; 0])).await.unwrap_err();
    assert!(
        error.to_string().starts_with("n-test: ") && error.to_string().contains("told to refuse"),
        "{error}"
    );
    let mut process = host.start(&Program::new("true", [""; 0])).await.unwrap();
    assert_eq!(process.end.ended().await, Ending::Exit(0));
}
