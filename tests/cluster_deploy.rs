//! `sparktune deploy` on four nodes: all old files or all new ones on each, whatever breaks.
//!
//! Ignored by default: needs `tests/cluster/up`.

mod support;

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/deployment.rs"]
mod deployment;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cluster::{Faults, TestCluster, TestNode, cluster, whole};
use deployment::{SITE, TRITON, files, held, moment_within, soon, stages, start, time, write_files};
use support::{Sandbox, stderr, stdout};

type Files = BTreeMap<String, String>;

/// How many files: as many as a collection has, and more than a full disk has room for.
const COUNT: usize = 50;

/// The four nodes as an inventory, files to deploy to them, and a folder of each node that the runtime is told of.
struct Bed<'a> {
    cluster: &'a TestCluster,
    sandbox: Sandbox,
    dir: String,
    old: Files,
    new: Files,
}

impl<'a> Bed<'a> {
    /// With the old files on every node, in a folder that no other test has.
    fn new(cluster: &'a TestCluster, name: &str) -> Self {
        let bed = Self::without_files(cluster, name);
        bed.succeeds(&["old"]);
        assert!(bed.all_hold(&bed.old));
        bed
    }

    fn without_files(cluster: &'a TestCluster, name: &str) -> Self {
        let sandbox = Sandbox::new();
        let mut inventory = format!(
            "name = \"test\"\nimage = \"spark-test:python\"\nexpect_gpu = \"NVIDIA GB10\"\nssh_config = \"{}\"\n",
            cluster.ssh_config.display()
        );
        for (index, node) in cluster.nodes.iter().enumerate() {
            let role = if index == 0 { "head" } else { "worker" };
            inventory +=
                &format!("[[nodes]]\nname = \"{}\"\nrole = \"{role}\"\nssh = \"{}\"\n", node.name, node.ssh);
        }
        sandbox.write("sparks.toml", inventory);
        let dir = format!("/srv/deploy-{name}");
        for node in &cluster.nodes {
            said(&cluster.ssh(node, &format!("rm -rf {dir} && mkdir -p {dir}")));
        }
        let (old, new) = (files(COUNT, 3), files(COUNT, 4));
        write_files(&sandbox, "old", &old);
        write_files(&sandbox, "new", &new);
        Self { cluster, sandbox, dir, old, new }
    }

    fn arguments<'b>(&'b self, more: &[&'b str]) -> Vec<&'b str> {
        [&["deploy", "--host-dir", self.dir.as_str()][..], more].concat()
    }

    #[track_caller]
    fn succeeds(&self, more: &[&str]) -> String {
        self.sandbox.succeeds(&self.arguments(more))
    }

    /// Deploy the new files, which does not work: exit 3, `node` and `words` named, no node changed.
    #[track_caller]
    fn fails(&self, node: &TestNode, words: &[&str]) {
        let assert = self.sandbox.sparktune(&self.arguments(&["new"])).assert().code(3);
        let message = stderr(&assert);
        for word in ["nothing was", &format!("\n  {}: ", node.name)].iter().chain(words) {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
        for other in self.cluster.nodes.iter().filter(|other| other.name != node.name) {
            assert!(!message.contains(&format!("\n  {}: ", other.name)), "{message}");
        }
        assert!(self.all_hold(&self.old), "{message}");
    }

    /// The folder of a node as this machine sees it.
    fn folder(&self, node: &TestNode) -> PathBuf {
        node.root.join(&self.dir[1..]).join("configs").join(TRITON)
    }

    fn all_hold(&self, files: &Files) -> bool {
        self.cluster.nodes.iter().all(|node| held(&self.folder(node)) == *files)
    }

    /// Wait for a random moment of a deployment that was started just now and takes about `whole`: every second time one
    /// after the first node began to stage, where most can go wrong. Which moment that was.
    fn wait_for_a_moment(&self, turn: usize, whole: Duration) -> String {
        let (begin, most) = match turn % 2 {
            0 => ("after", whole),
            _ => {
                let staging = |node: &TestNode| stages(&self.folder(node));
                soon("no node stages anything", || self.cluster.nodes.iter().any(staging));
                ("after staging began and", whole / 3)
            }
        };
        let moment = moment_within(most);
        std::thread::sleep(moment);
        format!("{begin} {moment:?}")
    }

    /// Every node has all old files or all new ones; a repeated deployment ends with all new ones, a rollback with the
    /// old. How many nodes had the new ones.
    #[track_caller]
    fn is_whole_and_goes_on(&self, what: &str) -> usize {
        let mut renamed = 0;
        for node in &self.cluster.nodes {
            let folder = self.folder(node);
            soon(&format!("{what}: {} has neither all old files nor all new ones", node.name), || {
                let held = held(&folder);
                held == self.old || held == self.new
            });
            renamed += usize::from(held(&folder) == self.new);
        }
        self.succeeds(&["new"]);
        assert!(self.all_hold(&self.new), "{what}: not all new files after a repetition");
        self.succeeds(&["--rollback"]);
        assert!(self.all_hold(&self.old), "{what}: not all old files after a rollback");
        renamed
    }
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        for node in &self.cluster.nodes {
            self.cluster.ssh(node, &format!("rm -rf {}", self.dir));
        }
    }
}

/// What a program said that must have succeeded.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn every_node_gets_the_files_and_gives_them_back() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::new(&cluster, "all");
    let whole = time(|| {
        let said = bed.succeeds(&["new"]);
        assert_eq!(said.matches("deployed").count(), 4, "{said}");
    });
    eprintln!("{COUNT} files to {} nodes: {} ms", cluster.nodes.len(), whole.as_millis());
    assert!(bed.all_hold(&bed.new));
    assert_eq!(bed.succeeds(&["new"]).matches("had them").count(), 4);
    assert_eq!(bed.succeeds(&["--status"]).matches("as deployed").count(), 4);

    let [changed, ..] = &cluster.nodes[..] else { panic!("a node") };
    let name = bed.new.keys().next().unwrap();
    support::write(&bed.folder(changed).join(name), "{}");
    let status = bed.sandbox.sparktune(&bed.arguments(&["--status"])).assert().code(1);
    let said = stdout(&status);
    assert!(said.contains(&format!("changed since: {name}")), "{said}");
    assert_eq!(said.matches("as deployed").count(), 3, "{said}");
    bed.succeeds(&["new"]);
    assert!(bed.all_hold(&bed.new));
    // That undoes the mending of one node; what it took the place of was no deployment.
    assert_eq!(bed.succeeds(&["--rollback"]).matches("nothing to restore").count(), 3);
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_full_disk_keeps_all_nodes_from_changing() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = Bed::new(&cluster, "full");
    let node = &cluster.nodes[1];
    faults.cause(&node.name, &["fill-disk"]);
    bed.fails(node, &["no room for `/srv/deploy-full"]);
    faults.heal();
    bed.is_whole_and_goes_on("with room again");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_folder_that_may_not_be_written_keeps_all_nodes_from_changing() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::new(&cluster, "read-only");
    let (node, dir) = (&cluster.nodes[2], &bed.dir);
    said(&cluster.ssh(node, &format!("mount --bind {dir} {dir} && mount -o remount,ro,bind {dir}")));
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bed.fails(node, &["cannot write `/srv/deploy-read-only", "Read-only file system"]);
    }));
    said(&cluster.ssh(node, &format!("umount {dir}")));
    refused.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    bed.is_whole_and_goes_on("writable again");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_node_that_is_away_keeps_all_nodes_from_changing() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = Bed::new(&cluster, "away");
    let node = &cluster.nodes[3];
    faults.cause(&node.name, &["link-down"]);
    bed.fails(node, &[]);
    faults.heal();
    bed.is_whole_and_goes_on("within reach again");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_link_cut_at_any_moment_leaves_each_node_all_old_files_or_all_new_ones() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = Bed::new(&cluster, "cut");
    let whole = time(|| drop(bed.succeeds(&["new"])));
    bed.succeeds(&["--rollback"]);
    let mut ends = BTreeMap::new();
    for turn in 0..10 {
        let node = &cluster.nodes[turn % cluster.nodes.len()];
        let mut program = start(&bed.sandbox, &bed.arguments(&["new"]));
        let moment = bed.wait_for_a_moment(turn, whole);
        faults.cause(&node.name, &["link-down"]);
        // Some links come back before anybody noticed.
        if turn % 4 < 2 {
            std::thread::sleep(Duration::from_secs(1));
            faults.heal();
            program.wait().unwrap();
        } else {
            program.wait().unwrap();
            faults.heal();
        }
        let code = program.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 3 | 4)), "{code:?}");
        let what = format!("{} cut off {moment} of {whole:?}, exit {code:?}", node.name);
        let renamed = bed.is_whole_and_goes_on(&what);
        eprintln!("{what}: new files on {renamed} nodes");
        assert!(code != Some(0) || renamed == cluster.nodes.len(), "{what}");
        assert!(code != Some(3) || renamed == 0, "{what}");
        *ends.entry(code).or_insert(0) += 1;
    }
    eprintln!("10 cuts ended with {ends:?}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn killed_at_any_moment_it_leaves_each_node_all_old_files_or_all_new_ones() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::new(&cluster, "killed");
    let whole = time(|| drop(bed.succeeds(&["new"])));
    bed.succeeds(&["--rollback"]);
    let mut renamed = BTreeMap::new();
    for turn in 0..20 {
        let mut program = start(&bed.sandbox, &bed.arguments(&["new"]));
        let moment = bed.wait_for_a_moment(turn, whole);
        program.kill().unwrap();
        program.wait().unwrap();
        let nodes = bed.is_whole_and_goes_on(&format!("killed {moment} of {whole:?}"));
        *renamed.entry(nodes).or_insert(0) += 1;
    }
    eprintln!("20 kills within {whole:?}; times that so many nodes had new files: {renamed:?}");
}

/// Containers of one name on all nodes, with a runtime in each.
struct Containers<'a> {
    cluster: &'a TestCluster,
    name: &'static str,
    /// Where their SGLang has its config files.
    folder: String,
}

impl<'a> Containers<'a> {
    fn new(cluster: &'a TestCluster, name: &'static str) -> Self {
        Self::running(cluster, name, &["sleep", "9999"])
    }

    fn running(cluster: &'a TestCluster, name: &'static str, command: &[&str]) -> Self {
        let mut these = Self { cluster, name, folder: String::new() };
        for node in &cluster.nodes {
            these.docker(node, &["rm", "--force", name]);
            let run = ["run", "--detach", "--network", "host", "--name", name, "spark-test:python"];
            said(&these.docker(node, &[&run[..], command].concat()));
            these.folder = said(&these.docker(node, &["exec", name, "python3", "-c", SITE]));
        }
        these
    }

    fn docker(&self, node: &TestNode, arguments: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(format!("unix://{}", node.docker_socket.display())).args(arguments);
        docker.stdin(Stdio::null()).output().unwrap()
    }

    /// What lies in a node's container.
    fn held(&self, node: &TestNode) -> Files {
        let script = "import json, os, sys\n\
                      folder = sys.argv[1]\n\
                      names = os.listdir(folder) if os.path.isdir(folder) else []\n\
                      print(json.dumps({name: open(os.path.join(folder, name)).read() \
                      for name in names if name.endswith('.json')}))";
        let folder = format!("{}/{TRITON}", self.folder);
        let text = said(&self.docker(node, &["exec", self.name, "python3", "-c", script, &folder]));
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        for node in &self.cluster.nodes {
            self.docker(node, &["rm", "--force", self.name]);
        }
    }
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn files_go_into_running_containers_and_back() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::without_files(&cluster, "container");
    let containers = Containers::new(&cluster, "deploy-running");
    let into = |more: &[&str]| {
        bed.sandbox.succeeds(&[&["deploy", "--container", containers.name][..], more].concat())
    };
    let said = into(&["old"]);
    assert_eq!(said.matches("SGLang 0.5.4.post2 has its own there").count(), 1, "{said}");
    assert!(said.contains(&format!("{}:{}/{TRITON}", containers.name, containers.folder)), "{said}");
    into(&["new"]);
    assert!(cluster.nodes.iter().all(|node| containers.held(node) == bed.new));
    assert_eq!(into(&["--status"]).matches("as deployed").count(), 4);
    into(&["--rollback"]);
    assert!(cluster.nodes.iter().all(|node| containers.held(node) == bed.old));
    // The commands that are said do the same.
    let script = bed.sandbox.write("commands", into(&["--dry-run", "new"]));
    let ran = Command::new("sh").arg("-e").arg(&script).current_dir(bed.sandbox.work()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(cluster.nodes.iter().all(|node| containers.held(node) == bed.new));

    let missing = ["deploy", "--container", "none-such", "new"];
    let words = ["nothing was changed", "none-such", "n1: ", "n4: "];
    bed.sandbox.fails(3, &missing, &words);
}

/// Look-alikes of servers: a shell that prints, each time its container is started, what lies there as `/said`.
const SAYS: [&str; 3] = ["sh", "-c", "cat /said 2>/dev/null; exec sleep 9999"];

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn the_logs_of_all_containers_say_whether_the_files_are_loaded() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::without_files(&cluster, "verify");
    let containers = Containers::running(&cluster, "deploy-verify", &SAYS);
    let with = |more: &[&'static str]| [&["deploy", "--container", containers.name][..], more].concat();
    let verify = with(&["--verify"]);
    let name = bed.new.keys().next().unwrap();
    let path = format!("{}/{TRITON}/{name}", containers.folder);
    let loaded = |rank: usize| format!("[2026-11-30 12:00:00 TP{rank}] Using MoE kernel config from {path}.");
    let used = path.replace(TRITON, "triton_3_4_0");
    let fallback = format!(
        "[2026-11-30 12:00:00 TP2] Config file not found at {path}. Fallback to triton version 3.4.0 and use MoE \
         kernel config from {used}. Performance might be sub-optimal!"
    );
    let starts = |index: usize, lines: &str| {
        let node = &cluster.nodes[index];
        let script = "import sys; open('/said', 'w').write(sys.argv[1] + '\\n')";
        said(&containers.docker(node, &["exec", containers.name, "python3", "-c", script, lines]));
        let count = || {
            let log = said(&containers.docker(node, &["logs", containers.name]));
            log.matches(lines).count()
        };
        let before = count();
        said(&containers.docker(node, &["restart", "--time", "0", containers.name]));
        soon("it says nothing", || count() > before);
    };

    // Containers that only sleep.
    bed.sandbox.succeeds(&with(&["old"]));
    let assert = bed.sandbox.sparktune(&verify).assert().code(1);
    assert_eq!(stdout(&assert).matches("which --log names").count(), 4, "{}", stdout(&assert));

    // Servers that loaded a file of this name before it was deployed.
    (0..cluster.nodes.len()).for_each(|index| starts(index, &loaded(index)));
    bed.sandbox.succeeds(&with(&["new"]));
    let assert = bed.sandbox.sparktune(&verify).assert().code(1);
    assert_eq!(stdout(&assert).matches("restart it").count(), 4, "{}", stdout(&assert));

    (0..cluster.nodes.len()).for_each(|index| starts(index, &loaded(index)));
    let text = bed.sandbox.succeeds(&verify);
    assert_eq!(text.matches(" loaded").count(), 4, "{text}");
    assert_eq!(text.matches("49 of 50").count(), 4, "{text}");

    starts(2, &fallback);
    let assert = bed.sandbox.sparktune(&verify).assert().code(1);
    let text = stdout(&assert);
    assert!(text.contains(&format!("  n3: {fallback}\n")), "{text}");
    assert_eq!((text.matches(" loaded").count(), text.matches("fell back").count()), (3, 1), "{text}");

    // The same from a file that a server writes in its container.
    let later = "import sys, time; open('/server.log', 'w').write(time.strftime('[%Y-%m-%d %H:%M:%S] ') + sys.argv[1])";
    for node in &cluster.nodes {
        let line = format!("Using MoE kernel config from {path}.\n");
        said(&containers.docker(node, &["exec", containers.name, "python3", "-c", later, &line]));
    }
    bed.sandbox.succeeds(&with(&["--verify", "--log", "/server.log"]));

    // The commands that are said find the same lines.
    let script = bed.sandbox.write("commands", bed.sandbox.succeeds(&with(&["--verify", "--dry-run"])));
    let ran = Command::new("sh").arg("-e").arg(&script).current_dir(bed.sandbox.work()).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains(&fallback), "{ran:?}");

    said(&containers.docker(&cluster.nodes[1], &["stop", "--time", "0", containers.name]));
    let assert = bed.sandbox.sparktune(&verify).assert().code(3);
    let (said, told) = (stdout(&assert), stderr(&assert));
    assert!(["n1", "n3", "n4"].iter().all(|node| said.contains(node)) && !said.contains("n2"), "{said}");
    assert!(
        told.contains("1 of 4 nodes could not be asked:\n  n2: ") && told.contains(containers.name),
        "{told}"
    );
}

/// A folder of the nodes that containers see by another path.
#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_mounted_folder_is_known_to_the_log_by_its_path_in_the_container() {
    let (cluster, _whole) = (cluster(), whole());
    let bed = Bed::new(&cluster, "mounted");
    let inventory = std::fs::read_to_string(bed.sandbox.path("sparks.toml")).unwrap();
    let named = inventory.replacen("\n[[nodes]]", "\n[container]\nname = \"deploy-mounted\"\n[[nodes]]", 1);
    bed.sandbox.write("sparks.toml", named);
    let name = bed.old.keys().next().unwrap();
    let line = format!("Using MoE kernel config from /tuned/configs/{TRITON}/{name}.");
    let docker = |node: &TestNode, arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(format!("unix://{}", node.docker_socket.display())).args(arguments);
        docker.stdin(Stdio::null()).output().unwrap()
    };
    let volume = format!("{}:/tuned", bed.dir);
    for node in &cluster.nodes {
        docker(node, &["rm", "--force", "deploy-mounted"]);
        let run = ["run", "--detach", "--network", "host", "--name", "deploy-mounted", "--volume", &volume];
        // A look-alike of a server too.
        let command = format!("echo '{line}'; exec sleep 9999");
        said(&docker(node, &[&run[..], &["spark-test:python", "sh", "-c", &command]].concat()));
    }
    let verified = bed.sandbox.sparktune(&bed.arguments(&["--verify"])).output().unwrap();
    for node in &cluster.nodes {
        docker(node, &["rm", "--force", "deploy-mounted"]);
    }
    assert_eq!(said(&verified).matches(" loaded").count(), 4, "{verified:?}");
}

#[test]
#[ignore = "needs the test cluster: tests/cluster/up"]
fn a_stopped_engine_keeps_all_containers_from_changing_and_no_folder() {
    let cluster = cluster();
    let mut faults = Faults::new(&cluster);
    let bed = Bed::new(&cluster, "stopped");
    let containers = Containers::new(&cluster, "deploy-stopped");
    let node = &cluster.nodes[1];
    faults.cause(&node.name, &["stop-engine"]);
    let message =
        bed.sandbox.fails(3, &["deploy", "--container", containers.name, "new"], &["nothing was changed"]);
    assert!(message.contains(&format!("\n  {}: ", node.name)) && !message.contains("\n  n1: "), "{message}");
    bed.is_whole_and_goes_on("without the engine");
    faults.heal();
    said(&containers.docker(node, &["start", containers.name]));
    assert!(cluster.nodes.iter().all(|node| containers.held(node).is_empty()));
}
