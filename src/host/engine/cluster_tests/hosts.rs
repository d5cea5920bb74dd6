//! Containers as hosts like any other, and their own troubles.

use super::bed::{ContainerBed, Docker, Guard, LookAlike, Podman, Which, engine, idle};
use crate::host::{Ending, HostFailure, HostPath, Program, suite};

mod on_docker {
    use super::*;

    suite::every_host_with_python_passes!(#[ignore = "needs the test cluster: tests/cluster/up"] ContainerBed<Docker>);
}

mod on_podman {
    use super::*;

    suite::every_host_with_python_passes!(#[ignore = "needs the test cluster: tests/cluster/up"] ContainerBed<Podman>);
}

mod on_the_look_alike {
    use super::*;

    suite::every_host_with_python_passes!(ContainerBed<LookAlike>);
}

super::the_look_alike_passes! {
    an_image_without_python_is_told,
    a_container_that_is_removed_is_lost,
    a_container_that_is_stopped_is_no_host,
}

super::both_engines_pass! {
    an_image_without_python_is_told,
    a_container_that_is_removed_is_lost,
    a_container_that_is_stopped_is_no_host,
}

async fn an_image_without_python_is_told<E: Which>() {
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
        assert!(text.contains("is there a `python3` in the image of `engine-test-"), "{text}");
    }
}

async fn a_container_that_is_removed_is_lost<E: Which>() {
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

async fn a_container_that_is_stopped_is_no_host<E: Which>() {
    let engine = engine::<E>().await;
    let made = Guard::create(&engine, &idle("spark-test:python")).await;
    let host = engine.within_container(&made.container);
    let error = host.start(&Program::new("true", [""; 0])).await.unwrap_err();
    assert!(
        matches!(&error.what, HostFailure::Unreachable { why } if why.contains("does not run")),
        "{error}"
    );
}
