//! Containers as hosts like any other, and their own troubles.

use super::bed::{ContainerBed, Docker, Guard, Podman, Which, engine, idle};
use crate::host::{Ending, HostFailure, HostPath, Program, suite};

mod docker {
    use super::*;

    suite::every_host_passes!(#[ignore = "needs the test cluster: tests/cluster/up"] ContainerBed<Docker>);
}

mod podman {
    use super::*;

    suite::every_host_passes!(#[ignore = "needs the test cluster: tests/cluster/up"] ContainerBed<Podman>);
}

async fn no_python<E: Which>() {
    let engine = engine::<E>().await;
    let made = Guard::running(&engine, &idle("spark-test:no-python")).await;
    let host = engine.within_container(&made.container);
    for error in [
        host.start(&Program::new("true", [""; 0])).await.unwrap_err(),
        host.get(&HostPath::new("/etc/hostname"), 100).await.unwrap_err(),
    ] {
        assert!(matches!(&error.what, HostFailure::Start { program, .. } if program == "python3"), "{error}");
        let text = error.to_string();
        assert!(text.contains("executable file not found"), "{text}");
        assert!(text.contains("Python 3"), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn an_image_without_python_is_told_by_docker() {
    no_python::<Docker>().await;
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn an_image_without_python_is_told_by_podman() {
    no_python::<Podman>().await;
}

async fn lost<E: Which>() {
    let engine = engine::<E>().await;
    let made = Guard::running(&engine, &idle("spark-test:python")).await;
    let host = engine.within_container(&made.container);
    let mut process = host.start(&Program::new("sleep", ["1000"])).await.unwrap();
    engine.remove(&made.container).await.unwrap();
    let ending = process.end.ended().await;
    assert!(matches!(ending, Ending::Lost { .. }), "{ending}");
    let error = host.start(&Program::new("true", [""; 0])).await.unwrap_err();
    assert!(
        matches!(&error.what, HostFailure::Unreachable { why } if why.contains("is not there")),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn a_container_that_is_removed_is_lost_on_docker() {
    lost::<Docker>().await;
}

#[tokio::test]
#[ignore = "needs the test cluster: tests/cluster/up"]
async fn a_container_that_is_removed_is_lost_on_podman() {
    lost::<Podman>().await;
}
