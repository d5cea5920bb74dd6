use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio_util::sync::CancellationToken;

use super::transaction::deploy_patiently;
use super::*;
use crate::host::{
    End, Ending, Here, Host, HostError, HostFailure, HostPath, Process, Program, ShellLine, Tree,
};
use crate::host_name::HostName;

/// What befalls a program.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// None.
    Spared,
    /// The host cannot be reached.
    Before,
    /// It runs, and nothing is heard of it.
    Unheard,
    /// It finds a folder where its file `b.json` is to go.
    InTheWay,
    /// The renaming that deployment `one` of a harness that is gone has begun with these files ends before it.
    Overtaken(&'static str),
}

/// This machine under another name, with a link that breaks where it is told to.
#[derive(Debug)]
struct Node {
    name: HostName,
    folder: PathBuf,
    here: Here,
    faults: Mutex<VecDeque<Fault>>,
}

impl Node {
    fn new(name: &str, folder: PathBuf) -> Self {
        Self { name: name.parse().unwrap(), folder, here: Here::new(), faults: Mutex::default() }
    }
}

impl Host for Node {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn start<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Process, HostError>> {
        async {
            let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::Spared);
            if let Fault::Before = fault {
                let what = HostFailure::Unreachable { why: "no route to host".into() };
                return Err(HostError { on: self.name.clone(), what });
            }
            if let Fault::InTheWay = fault {
                std::fs::create_dir(self.folder.join("b.json")).unwrap();
            }
            if let Fault::Overtaken(text) = fault {
                let spared = Arc::new(Node::new(self.name.as_str(), self.folder.clone()));
                folder(&spared, &self.folder, "python3").commit("one", &deployment(text)).await.unwrap();
            }
            let mut process = self.here.start(program).await?;
            if let Fault::Unheard = fault {
                process.output = Box::pin(tokio::io::empty());
                process.log = Box::pin(tokio::io::empty());
                process.end = Box::new(Unheard(process.end));
            }
            Ok(process)
        }
        .boxed()
    }

    fn put<'a>(&'a self, tree: &'a Tree, into: &'a HostPath) -> BoxFuture<'a, Result<(), HostError>> {
        self.here.put(tree, into)
    }

    fn get<'a>(&'a self, path: &'a HostPath, most: u64) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        self.here.get(path, most)
    }

    fn replace<'a>(&'a self, path: &'a HostPath, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), HostError>> {
        self.here.replace(path, bytes)
    }

    fn as_shell(&self, program: &Program) -> ShellLine {
        self.here.as_shell(program)
    }
}

/// An end of which nothing is heard.
struct Unheard(Box<dyn End>);

impl End for Unheard {
    fn ended(&mut self) -> BoxFuture<'_, Ending> {
        async {
            self.0.ended().await;
            Ending::Lost { why: "the link was cut".into() }
        }
        .boxed()
    }

    fn kill(&mut self) {
        self.0.kill();
    }
}

const OLD: &str = "old";

/// Nodes `n1`, `n2` ..., each with a folder that holds `a.json` and what is not ours.
struct Cluster {
    root: tempfile::TempDir,
    nodes: Vec<Arc<Node>>,
}

impl Cluster {
    fn new(nodes: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let node = |index: usize| {
            let name = format!("n{index}");
            let folder = root.path().join(&name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("a.json"), OLD).unwrap();
            std::fs::write(folder.join("other.json"), "another's").unwrap();
            Arc::new(Node::new(&name, folder))
        };
        let nodes = (1..=nodes).map(node).collect();
        Self { root, nodes }
    }

    fn path(&self, node: usize) -> PathBuf {
        self.root.path().join(format!("n{node}"))
    }

    fn expect(&self, node: usize, faults: &[Fault]) {
        *self.nodes[node - 1].faults.lock().unwrap() = faults.iter().copied().collect();
    }

    fn folders(&self) -> Vec<ConfigFolder> {
        let of = |(index, node): (usize, &Arc<Node>)| folder(node, &self.path(index + 1), "python3");
        self.nodes.iter().enumerate().map(of).collect()
    }

    fn deliveries(&self, deployment: &Deployment) -> Vec<Delivery> {
        let of = |folder| Delivery { folder, deployment: deployment.clone() };
        self.folders().into_iter().map(of).collect()
    }

    async fn deploy(&self, id: &str, deployment: &Deployment) -> Result<Vec<Deployed>, DeployError> {
        let waits = [Duration::from_millis(50); 3];
        deploy_patiently(&self.deliveries(deployment), id, &CancellationToken::new(), &waits).await
    }

    /// `a.json` and `b.json` of every node, and that nothing else of the user's was touched.
    fn texts(&self) -> Vec<[Option<String>; 2]> {
        let of = |node: usize| {
            let path = self.path(node);
            assert_eq!(std::fs::read_to_string(path.join("other.json")).unwrap(), "another's");
            ["a.json", "b.json"].map(|name| std::fs::read_to_string(path.join(name)).ok())
        };
        (1..=self.nodes.len()).map(of).collect()
    }
}

fn folder(node: &Arc<Node>, path: &Path, python: &str) -> ConfigFolder {
    let path = HostPath::try_from(path).unwrap();
    ConfigFolder {
        host: Arc::clone(node) as Arc<dyn Host>,
        python: HostPath::new(python),
        folder: path.clone(),
        above: path,
    }
}

fn deployment(text: &str) -> Deployment {
    let files = ["a.json", "b.json"].map(|name| (name.to_owned(), text.as_bytes().to_vec()));
    Deployment { files: files.into_iter().collect(), from: "a run".into() }
}

fn old() -> [Option<String>; 2] {
    [Some(OLD.to_owned()), None]
}

fn new(text: &str) -> [Option<String>; 2] {
    [Some(text.to_owned()), Some(text.to_owned())]
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder.join(".sparktune")).unwrap();
    let mut names: Vec<String> = names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_node_gets_the_files_and_a_record_of_them() {
    let cluster = Cluster::new(3);
    assert_eq!(cluster.deploy("one", &deployment("new")).await.unwrap(), [Deployed::New; 3]);
    assert_eq!(cluster.texts(), vec![new("new"); 3]);
    let held = cluster.folders()[0].look().await.unwrap();
    let record = held.deployed.unwrap();
    assert_eq!((record.id.as_str(), record.from.as_str()), ("one", "a run"));
    let files: BTreeMap<&str, bool> =
        record.files.iter().map(|file| (file.name.as_str(), file.replaced)).collect();
    assert_eq!(files, BTreeMap::from([("a.json", true), ("b.json", false)]));
    assert!(record.files.iter().all(|file| held.files[&file.name] == file.sha256));
    // The same again finds nothing to do, and what can be undone stays what it was.
    assert_eq!(cluster.deploy("two", &deployment("new")).await.unwrap(), [Deployed::Already; 3]);
    for undone in rollback(&cluster.folders()).await {
        assert!(undone.unwrap());
    }
    assert_eq!(cluster.texts(), vec![old(); 3]);
    assert_eq!(leftovers(&cluster.path(1)), ["lock"]);
    for undone in rollback(&cluster.folders()).await {
        assert!(!undone.unwrap(), "there is nothing left to undo");
    }
}

#[tokio::test]
async fn only_the_last_deployment_is_undone() {
    let cluster = Cluster::new(1);
    cluster.deploy("one", &deployment("first")).await.unwrap();
    cluster.deploy("two", &deployment("second")).await.unwrap();
    assert!(rollback(&cluster.folders()).await.remove(0).unwrap());
    assert_eq!(cluster.texts(), [new("first")]);
    let failure = rollback(&cluster.folders()).await.remove(0).unwrap_err();
    assert!(matches!(failure.error, ConfigFolderError::NothingLeft(_)), "{failure}");
    let error = failure.to_string();
    assert!(error.starts_with("n1: nothing is left to undo in `"), "{error}");
    assert_eq!(cluster.texts(), [new("first")]);
}

/// Cut off after it had staged, it goes on to rename on one node while the next one is between its look and its staging:
/// what it brings was not there before.
#[tokio::test]
async fn a_deployment_that_ends_between_a_look_and_the_staging_is_looked_at_again() {
    for (next, undone) in [("new", [old(), old()]), ("newer", [new("new"), old()])] {
        let cluster = Cluster::new(2);
        for delivery in cluster.deliveries(&deployment("new")) {
            let held = delivery.folder.look().await.unwrap();
            delivery.folder.stage("one", &held, &delivery.deployment).await.unwrap();
        }
        cluster.expect(1, &[Fault::Spared, Fault::Overtaken("new")]);
        let outcomes = cluster.deploy("two", &deployment(next)).await.unwrap();
        let first = if next == "new" { Deployed::Already } else { Deployed::New };
        assert_eq!(outcomes, [first, Deployed::New]);
        assert_eq!(cluster.texts(), vec![new(next); 2]);
        assert!(rollback(&cluster.folders()).await.into_iter().all(Result::unwrap), "it is one deployment");
        assert_eq!(cluster.texts(), undone);
    }
}

#[tokio::test]
async fn a_folder_is_staged_to_as_it_was_seen_or_not_at_all() {
    let cluster = Cluster::new(1);
    let folder = cluster.folders().remove(0);
    let never = folder.look().await.unwrap();
    cluster.deploy("one", &deployment("first")).await.unwrap();
    let error = folder.stage("two", &never, &deployment("second")).await.unwrap_err();
    assert!(matches!(error, ConfigFolderError::Moved(_)), "{error}");
    assert!(error.to_string().contains("another deployment ended there meanwhile"), "{error}");
    assert_eq!(cluster.texts(), [new("first")]);
}

/// A node that a deployment did not reach has an older one, which is not the one to undo.
#[tokio::test]
async fn what_is_undone_is_one_deployment_on_all_nodes() {
    let cluster = Cluster::new(2);
    cluster.deploy("one", &deployment("first")).await.unwrap();
    let some = &cluster.deliveries(&deployment("second"))[..1];
    deploy(some, "two", &CancellationToken::new()).await.unwrap();
    let undone: Vec<bool> = rollback(&cluster.folders()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(undone, [true, false]);
    assert_eq!(cluster.texts(), vec![new("first"); 2]);
}

/// One that got to some nodes and was repeated is undone on all.
#[tokio::test]
async fn a_deployment_that_is_repeated_is_undone_as_one() {
    let cluster = Cluster::new(3);
    cluster.deploy("one", &deployment("first")).await.unwrap();
    let some = &cluster.deliveries(&deployment("second"))[..1];
    deploy(some, "two", &CancellationToken::new()).await.unwrap();
    let outcomes = cluster.deploy("three", &deployment("second")).await.unwrap();
    assert_eq!(outcomes, [Deployed::Already, Deployed::New, Deployed::New]);
    assert!(rollback(&cluster.folders()).await.into_iter().all(Result::unwrap));
    assert_eq!(cluster.texts(), vec![new("first"); 3]);
}

/// A node that had these files before the last deployment has no part in another one of them.
#[tokio::test]
async fn what_a_node_had_all_along_stays_when_the_others_are_restored() {
    let cluster = Cluster::new(2);
    cluster.deploy("one", &deployment("first")).await.unwrap();
    let some = &cluster.deliveries(&deployment("second"))[..1];
    deploy(some, "two", &CancellationToken::new()).await.unwrap();
    let outcomes = cluster.deploy("three", &deployment("first")).await.unwrap();
    assert_eq!(outcomes, [Deployed::New, Deployed::Already]);
    let undone: Vec<bool> = rollback(&cluster.folders()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(undone, [true, false]);
    assert_eq!(cluster.texts(), [new("second"), new("first")]);
}

#[tokio::test]
async fn what_somebody_changed_since_is_not_rolled_back_over() {
    let cluster = Cluster::new(1);
    cluster.deploy("one", &deployment("new")).await.unwrap();
    std::fs::write(cluster.path(1).join("b.json"), "edited").unwrap();
    let error = rollback(&cluster.folders()).await.remove(0).unwrap_err().to_string();
    assert!(error.contains("b.json") && error.contains("changed"), "{error}");
    assert_eq!(cluster.texts(), [[Some("new".to_owned()), Some("edited".to_owned())]]);
}

#[tokio::test]
async fn a_node_that_cannot_stage_keeps_all_from_changing() {
    let cluster = Cluster::new(3);
    std::fs::create_dir(cluster.path(2).join("b.json")).unwrap();
    let error = cluster.deploy("one", &deployment("new")).await.unwrap_err();
    let DeployError::NothingChanged(failures) = &error else { panic!("{error}") };
    assert_eq!(failures.len(), 1);
    let words = error.to_string();
    assert!(words.contains("n2: ") && words.contains("b.json") && words.contains("a folder lies"), "{words}");
    for node in [1, 3] {
        assert_eq!(cluster.texts()[node - 1], old());
        assert_eq!(leftovers(&cluster.path(node)), ["lock"]);
    }
    std::fs::remove_dir(cluster.path(2).join("b.json")).unwrap();
    assert_eq!(cluster.deploy("two", &deployment("new")).await.unwrap(), [Deployed::New; 3]);
}

#[tokio::test]
async fn a_folder_that_is_missing_and_a_node_that_is_away_are_named() {
    let cluster = Cluster::new(3);
    std::fs::remove_dir_all(cluster.path(1)).unwrap();
    cluster.expect(3, &[Fault::Before]);
    let error = cluster.deploy("one", &deployment("new")).await.unwrap_err().to_string();
    assert!(error.contains("n1: `") && error.contains("is no folder there"), "{error}");
    assert!(error.contains("n3: cannot be reached: no route to host"), "{error}");
    assert!(!error.contains("n2: "), "{error}");
}

/// Looked, staged, then cut off before the renaming: the others take it back.
#[tokio::test]
async fn a_link_cut_before_the_renaming_restores_the_others() {
    let cluster = Cluster::new(3);
    cluster.expect(2, &[Fault::Spared, Fault::Spared, Fault::Before]);
    let error = cluster.deploy("one", &deployment("new")).await.unwrap_err();
    assert!(matches!(&error, DeployError::Restored(failures) if failures.len() == 1), "{error}");
    assert_eq!(cluster.texts(), vec![old(); 3]);
    assert_eq!(cluster.deploy("two", &deployment("new")).await.unwrap(), [Deployed::New; 3]);
    assert_eq!(cluster.texts(), vec![new("new"); 3]);
}

/// A node that cannot end what it has begun is not said to have its old files.
#[tokio::test]
async fn a_node_that_is_stuck_half_way_is_told_of_and_ends_it_later() {
    let cluster = Cluster::new(2);
    cluster.expect(1, &[Fault::Spared, Fault::Spared, Fault::InTheWay]);
    let error = cluster.deploy("one", &deployment("new")).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("old and new ones on n1\n  n1: ") && words.contains("b.json"), "{words}");
    assert_eq!(cluster.texts(), [[Some("new".to_owned()), None], old()]);
    std::fs::remove_dir(cluster.path(1).join("b.json")).unwrap();
    let outcomes = cluster.deploy("two", &deployment("new")).await.unwrap();
    assert_eq!(outcomes, [Deployed::Already, Deployed::New], "the node ends what it had begun");
    assert_eq!(cluster.texts(), vec![new("new"); 2]);
    assert!(rollback(&cluster.folders()).await.into_iter().all(Result::unwrap), "it was one deployment");
    assert_eq!(cluster.texts(), vec![old(); 2]);
}

#[tokio::test]
async fn folders_that_were_deployed_to_are_found_from_above() {
    let cluster = Cluster::new(1);
    let above = cluster.folders().remove(0);
    assert!(above.deployed_below().await.unwrap().is_empty());
    for name in ["configs/triton_3_5_0", "configs/triton_3_8_0", "configs/other"] {
        let folder = ConfigFolder { folder: above.folder.join(name), ..above.clone() };
        let delivery = Delivery { folder, deployment: deployment("new") };
        deploy(&[delivery], name.rsplit('/').next().unwrap(), &CancellationToken::new()).await.unwrap();
    }
    let found = above.deployed_below().await.unwrap();
    let names: Vec<_> = found.iter().map(|it| it.as_str().rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["triton_3_5_0", "triton_3_8_0"]);
}

/// The node renamed and nobody heard of it: asked again, it says so.
#[tokio::test]
async fn an_answer_lost_after_the_renaming_is_asked_for_again() {
    let cluster = Cluster::new(2);
    cluster.expect(1, &[Fault::Spared, Fault::Spared, Fault::Unheard]);
    assert_eq!(cluster.deploy("one", &deployment("new")).await.unwrap(), [Deployed::New; 2]);
    assert_eq!(cluster.texts(), vec![new("new"); 2]);
}

#[tokio::test]
async fn a_node_that_stays_away_while_it_renames_is_told_of() {
    let cluster = Cluster::new(2);
    let away = [Fault::Spared, Fault::Spared, Fault::Unheard].into_iter().chain([Fault::Before; 9]);
    cluster.expect(1, &away.collect::<Vec<_>>());
    let error = cluster.deploy("one", &deployment("new")).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("not known which, on n1"), "{words}");
    assert_eq!(cluster.texts()[1], old());
    cluster.expect(1, &[]);
    cluster.deploy("two", &deployment("new")).await.unwrap();
    assert_eq!(cluster.texts(), vec![new("new"); 2]);
}

/// The node's own process is ended between any two of its steps: what was decided is ended by whoever comes next.
#[tokio::test]
async fn a_node_that_died_while_it_renamed_ends_it_at_the_next_contact() {
    let cluster = Cluster::new(1);
    cluster.deploy("one", &deployment("first")).await.unwrap();
    // As it stands after the first of two renames.
    let (folder, ours) = (cluster.path(1), cluster.path(1).join(".sparktune"));
    let stage = ours.join("stage-two");
    std::fs::create_dir(&stage).unwrap();
    std::fs::create_dir(ours.join("before-two")).unwrap();
    let sha256 = |text: &str| record::digest(text.as_bytes());
    for name in ["a.json", "b.json"] {
        std::fs::write(ours.join("before-two").join(name), "first").unwrap();
    }
    std::fs::write(stage.join("b.json"), "second").unwrap();
    std::fs::write(folder.join("a.json"), "second").unwrap();
    let files =
        ["a.json", "b.json"].map(|name| serde_json::json!({"name": name, "sha256": sha256("second")}));
    let deployed = files.clone().map(|mut file| {
        file["replaced"] = true.into();
        file
    });
    let record = serde_json::json!({
        "id": "two", "from": "a run", "at": "2026-01-01T00:00:00Z", "tool_version": "0", "files": deployed,
    });
    let intent = serde_json::json!({"from": stage.to_str().unwrap(), "files": files, "record": record});
    std::fs::write(ours.join("intent.json"), intent.to_string()).unwrap();
    assert!(cluster.folders()[0].look().await.unwrap().unfinished);
    cluster.deploy("three", &deployment("second")).await.unwrap();
    assert_eq!(cluster.texts(), [new("second")]);
    assert!(!ours.join("intent.json").exists());
}

#[tokio::test]
async fn names_that_leave_the_folder_are_refused() {
    let cluster = Cluster::new(1);
    for name in ["../escape.json", "/etc/escape.json", ".sparktune", ""] {
        let files = BTreeMap::from([(name.to_owned(), b"x".to_vec())]);
        let error =
            cluster.deploy("one", &Deployment { files, from: "x".into() }).await.unwrap_err().to_string();
        assert!(error.contains("not the name of a file"), "{name}: {error}");
    }
    assert!(!cluster.root.path().join("escape.json").exists());
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_the_folder_it_links_to() {
    let cluster = Cluster::new(1);
    let link = cluster.root.path().join("link");
    std::os::unix::fs::symlink(cluster.path(1), &link).unwrap();
    let folder = folder(&cluster.nodes[0], &link, "python3");
    let delivery = Delivery { folder: folder.clone(), deployment: deployment("new") };
    deploy(&[delivery], "one", &CancellationToken::new()).await.unwrap();
    assert_eq!(cluster.texts(), [new("new")]);
    let canonical = cluster.path(1).canonicalize().unwrap();
    assert_eq!(folder.look().await.unwrap().folder.as_str(), canonical.to_str().unwrap());
}

#[tokio::test]
async fn a_host_without_python_says_so() {
    let cluster = Cluster::new(1);
    let folder = folder(&cluster.nodes[0], &cluster.path(1), "no-python");
    let error = folder.look().await.unwrap_err().to_string();
    assert!(error.contains("cannot start `no-python`"), "{error}");
}

#[tokio::test]
async fn an_interruption_before_the_renaming_changes_nothing() {
    let cluster = Cluster::new(2);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = deploy(&cluster.deliveries(&deployment("new")), "one", &cancel).await.unwrap_err();
    assert!(matches!(error, DeployError::Interrupted), "{error}");
    assert_eq!(cluster.texts(), vec![old(); 2]);
}

#[tokio::test]
async fn a_folder_is_made_below_one_that_is_there() {
    let cluster = Cluster::new(1);
    let mut folder = folder(&cluster.nodes[0], &cluster.path(1), "python3");
    folder.folder = folder.above.join("configs/triton_3_5_0");
    assert_eq!(folder.look().await.unwrap().files, BTreeMap::new());
    let delivery = Delivery { folder: folder.clone(), deployment: deployment("new") };
    assert_eq!(deploy(&[delivery], "one", &CancellationToken::new()).await.unwrap(), [Deployed::New]);
    let made = cluster.path(1).join("configs/triton_3_5_0/a.json");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "new");
}
