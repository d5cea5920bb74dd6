//! `sparktune moe --image` on a real engine, with a real compiler in the container: the same files as without an
//! image, nothing left behind, and images that are no good.
//!
//! Ignored by default: needs `tests/cluster/up`, and the first run fetches Triton and SGLang from the package registry.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/real.rs"]
mod real;
mod support;
#[path = "support/tuning.rs"]
mod tuning;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spark::runtime::{Runtime, Target};

use cluster::{TestNode, cluster, whole};
use support::Sandbox;
use tuning::{SMALL, docker, files, journal, left, said, signal, sparktune};

/// The image that the test makes.
const IMAGE: &str = "spark-test:moe";

/// What each test's containers are told apart by.
const GOOD: &str = "moe-good";
const BAD: &str = "moe-bad";

/// The managed environment as an image whose own `python3` finds all of it, gone with this.
struct MoeImage<'a>(&'a TestNode);

impl<'a> MoeImage<'a> {
    async fn make(node: &'a TestNode) -> Self {
        let environment = real::environment(Target::of(Runtime::Sglang054)).await;
        let venv = Path::new(environment.starter.python.as_str()).ancestors().nth(2).unwrap().to_owned();
        let packages = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
        let site = "/usr/lib/python3/dist-packages";
        let name = format!("moe-image-{}", std::process::id());
        said(&docker(node, &["create", "--name", &name, "spark-test:python"]).output().unwrap());
        let made = Self(node);
        // As one stream, so that no copy of 700 MB is made first.
        let parts = [
            (packages.join("site-packages"), vec!["triton", "triton-3.5.0.dist-info", "nvidia"]),
            (
                PathBuf::from(environment.package_root.as_str()),
                vec!["sglang", "sglang-0.5.4.post2.dist-info"],
            ),
        ];
        for (folder, names) in parts {
            let mut tar = Command::new("tar");
            // Debuggers and profilers are not for compiling a kernel. Links stay as they are.
            tar.args(["--create", "--exclude=cupti", "--exclude=nvdisasm", "--exclude=cuobjdump"]);
            tar.arg("--transform").arg(format!("flags=r;s,^,{}/,", &site[1..]));
            tar.arg("--directory").arg(&folder).args(&names);
            let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
            let mut copy = docker(node, &["cp", "-", &format!("{name}:/")]);
            let copied = copy.stdin(tar.stdout.take().unwrap()).output().unwrap();
            said(&copied);
            assert!(tar.wait().unwrap().success());
        }
        let ptxas = format!("ENV TRITON_PTXAS_PATH={site}/nvidia/cu13/bin/ptxas");
        said(&docker(node, &["commit", "--change", &ptxas, &name, IMAGE]).output().unwrap());
        said(&docker(node, &["rm", &name]).output().unwrap());
        made
    }
}

impl Drop for MoeImage<'_> {
    fn drop(&mut self) {
        let removed = docker(self.0, &["rmi", IMAGE]).output();
        if !std::thread::panicking() {
            said(&removed.unwrap());
        }
    }
}

/// A sandbox with the inventory of `cluster`, whose only node has the engine of `node`.
fn sandbox(node: &TestNode, cluster: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let url = format!("unix://{}", node.docker_socket.display());
    let inventory = format!(
        "name = \"{cluster}\"\nimage = \"{IMAGE}\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nengine_url = \"{url}\"\n"
    );
    sandbox.write("sparks.toml", inventory);
    sandbox
}

/// Wait until the run's container is there.
fn wait_for_container(node: &TestNode, cluster: &str, run: &mut Child) {
    let began = Instant::now();
    while left(node, cluster).is_empty() {
        assert_eq!(run.try_wait().unwrap(), None, "ended before it had a container");
        assert!(began.elapsed() < Duration::from_secs(30), "no container in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: tests/cluster/up"]
#[expect(clippy::await_holding_lock, reason = "the lock is what keeps other tests from the nodes meanwhile")]
async fn an_image_gives_the_files_that_the_managed_environment_gives() {
    let (cluster, _whole) = (cluster(), whole());
    let node = &cluster.nodes[0];
    let _image = MoeImage::make(node).await;
    let sandbox = sandbox(node, GOOD);
    let (shared, own) = (std::path::absolute(real::cache()).unwrap(), sandbox.home().join("cache"));
    let run = |cache: &Path, more: &[&str]| {
        sparktune(&sandbox, cache, &[&SMALL[..], more].concat()).output().unwrap()
    };
    said(&run(&shared, &["--out", "without", "--offline"]));
    // Nothing compiled before is at hand: all of it is compiled in the container.
    said(&run(&own, &["--out", "with", "--image", IMAGE]));
    assert_eq!(files(&sandbox.path("with")), files(&sandbox.path("without")));
    for name in files(&sandbox.path("with")).iter().map(|it| &it.0).filter(|it| !it.contains("manifest")) {
        let bytes = |run: &str| std::fs::read(sandbox.path(run).join("triton_3_5_0").join(name)).unwrap();
        assert_eq!(bytes("with"), bytes("without"), "{name}");
    }
    assert_eq!(left(node, GOOD), [""; 0]);
    // The plan knows the image by its digest, and nothing of the container.
    let id = said(&docker(node, &["image", "inspect", "--format", "{{.Id}}", IMAGE]).output().unwrap());
    let begun = journal(&sandbox.path("with"))[0].to_string();
    assert!(begun.contains(&id) && !begun.contains("sparktune-moe-good"), "{begun}");
    assert!(!journal(&sandbox.path("without"))[0].to_string().contains("\"image\""));

    // What is said and is not so.
    let other = run(&own, &["--out", "other", "--image", IMAGE, "--sglang", "0.5.23"]);
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2), "{message}");
    assert!(message.contains("SGLang 0.5.23") && message.contains("SGLang 0.5.4.post2"), "{message}");
    assert_eq!(left(node, GOOD), [""; 0]);

    // Interrupted, killed, and gone on with under the image it began with.
    let many = ["--policy", "best-predicted", "--batch-sizes", "1,16,64,256", "--image", IMAGE, "--out"];
    let many =
        |out: &str| sparktune(&sandbox, &own, &[&SMALL[..13], &many[..], &[out]].concat()).spawn().unwrap();
    let mut interrupted = many("interrupted");
    wait_for_container(node, GOOD, &mut interrupted);
    signal(&interrupted, "-INT");
    let output = interrupted.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(left(node, GOOD), [""; 0]);
    let mut killed = many("killed");
    wait_for_container(node, GOOD, &mut killed);
    let began = Instant::now();
    while journal(&sandbox.path("killed")).is_empty() && began.elapsed() < Duration::from_secs(30) {
        assert_eq!(killed.try_wait().unwrap(), None, "ended before its journal began");
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(left(node, GOOD).len(), 1, "a killed run leaves its container");
    said(&sparktune(&sandbox, &own, &["moe", "--resume", "killed"]).output().unwrap());
    assert_eq!(left(node, GOOD), [""; 0], "and takes it away when it goes on");
    // One that has ended by itself is in nobody's way: the next run takes it away, whichever it is.
    let mut killed = many("killed-again");
    wait_for_container(node, GOOD, &mut killed);
    killed.kill().unwrap();
    killed.wait().unwrap();
    for container in left(node, GOOD) {
        // It may have been killed before it had started its container.
        docker(node, &["kill", &container]).output().unwrap();
        let running =
            docker(node, &["inspect", "--format", "{{.State.Running}}", &container]).output().unwrap();
        assert_eq!(said(&running), "false");
    }
    said(&run(&own, &["--out", "next", "--image", IMAGE]));
    assert_eq!(left(node, GOOD), [""; 0]);
    assert_eq!(files(&sandbox.path("killed")).len(), 4);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn an_image_without_a_compiler_is_refused_and_leaves_nothing() {
    let (cluster, _whole) = (cluster(), whole());
    let node = &cluster.nodes[0];
    let sandbox = sandbox(node, BAD);
    let refused = |image: &str, words: &[&str]| {
        sandbox.fails(3, &[&SMALL[..], &["--out", "run", "--image", image]].concat(), words);
        assert_eq!(left(node, BAD), [""; 0]);
    };
    refused("spark-test:absent", &["`spark-test:absent` is not on n1", "docker pull spark-test:absent"]);
    refused("spark-test:no-python", &["`spark-test:no-python` has no `python3`"]);
    refused("spark-test:python", &["`spark-test:python` has no SGLang"]);
    // No engine listens there.
    let gone = "name = \"moe-bad\"\nimage = \"a\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nengine_url = \
                \"unix:///nowhere/docker.sock\"\n";
    sandbox.write("gone.toml", gone);
    let arguments = ["--out", "run", "--image", "spark-test:python", "--cluster", "gone.toml"];
    let words = ["no engine: the socket `/nowhere/docker.sock` is not there", "start the engine"];
    sandbox.fails(3, &[&SMALL[..], &arguments].concat(), &words);
}
