use super::*;
use crate::failure::{Failure, Kind};
use crate::host::container_spec::{Restart, Volume};

fn image() -> ImageName {
    "sglang:spark".parse().unwrap()
}

fn order(gpus: bool) -> Order<'static> {
    Order { family: Family::Sglang, owner: "lab:/results/a", gpus, again: false }
}

/// An inventory's file, and the image on what it names.
fn on(inventory: &str) -> ImageOnNode {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), inventory).unwrap();
    let found = inventory::find(Some(file.path())).unwrap();
    ImageOnNode::found("sglang:spark", found).unwrap_or_else(|error| panic!("{error}"))
}

const LAB: &str = r#"
name = "lab"
image = "served:tag"
[container]
name = "serve"
ipc = "host"
shm_size = "1g"
volumes = ["/models:/models:ro"]
command = ["python3", "-m", "sglang.launch_server"]
entrypoint = ["tini", "--"]
restart = "always"
[env]
HF_HOME = "/models"
[[nodes]]
name = "a"
role = "head"
ssh = "a"
"#;

#[test]
fn an_image_that_is_not_there_is_pulled_by_its_engines_command() {
    for (engine, hint) in
        [(EngineKind::Docker, "docker pull sglang:spark"), (EngineKind::Podman, "podman pull sglang:spark")]
    {
        let on = "spark-1".parse().unwrap();
        let error = NoCompiler::NotThere { on, engine, image: "sglang:spark".into() };
        assert_eq!(error.to_string(), "the image `sglang:spark` is not on spark-1");
        assert_eq!((error.kind(), error.hint().as_deref()), (Kind::Environment, Some(hint)));
    }
}

#[test]
fn the_container_is_as_the_nodes_own_but_idles_under_a_name_of_its_own() {
    let image = on(LAB);
    let spec = image.spec(&image.node, &order(true));
    assert_eq!((spec.image.as_str(), spec.network.as_str()), ("sglang:spark", "host"));
    assert!(spec.name.starts_with("sparktune-lab-tune-"), "{}", spec.name);
    assert_eq!(spec.entrypoint, Some(Vec::new()));
    assert_eq!((spec.command[0].as_str(), spec.command[4].as_str()), ("python3", "900"));
    assert_eq!(spec.restart, Restart::No);
    assert_eq!(spec.volumes, ["/models:/models:ro".parse::<Volume>().unwrap()]);
    assert!(spec.environment.contains_key("HF_HOME") && spec.shm_size.is_some());
    assert_eq!(spec.labels.pairs()["sparktune.owner"], "lab:/results/a");
    assert_eq!(spec.labels.pairs()["sparktune.purpose"], "tune");
    // What only compiles needs no GPU.
    assert_eq!(spec.gpus, Gpus::All);
    assert_eq!(image.spec(&image.node, &order(false)).gpus, Gpus::None);
}

#[test]
fn secrets_of_the_inventory_stay_out() {
    let text = LAB.replace("[container]", "env_from = [\"HF_TOKEN\"]\n[container]");
    let image = on(&text);
    let own = image.node.settings.container_from("a".into(), image.labels(&order(false)));
    assert_eq!(own.secrets(), ["HF_TOKEN"].into());
    let spec = image.spec(&image.node, &order(false));
    assert_eq!(spec.environment.keys().collect::<Vec<_>>(), ["HF_HOME"]);
}

#[test]
fn this_machine_comes_before_the_head() {
    let worker = "[[nodes]]\nname = \"b\"\nrole = \"worker\"\n";
    let name = |text: String| on(&text).node.name.as_str().to_owned();
    assert_eq!(name(format!("{LAB}{worker}ssh = \"b\"\n")), "a");
    assert_eq!(name(format!("{LAB}{worker}local = true\n")), "b");
}

#[test]
fn a_node_has_the_named_image_or_its_own() {
    let worker = "[[nodes]]\nname = \"b\"\nssh = \"b\"\nimage = \"other:tag\"\n";
    let inventory = Inventory::parse(std::path::Path::new("lab.toml"), &format!("{LAB}{worker}")).unwrap();
    let (ssh, named) = (connect::ssh(&inventory), image());
    let images = |named: Option<&ImageName>| {
        let of = |node| ImageOnNode::of_node(&inventory.name, node, named, &ssh).unwrap();
        let images = inventory.nodes.iter().map(of);
        images.map(|it| format!("{} {}", it.node(), it.image)).collect::<Vec<_>>()
    };
    assert_eq!(images(None), ["a served:tag", "b other:tag"]);
    assert_eq!(images(Some(&named)), ["a sglang:spark", "b sglang:spark"]);
}

#[test]
fn a_dry_run_shows_the_command_that_makes_the_container() {
    let line = on(LAB).run_line(&order(false)).to_string();
    for part in [
        "docker run --detach --name sparktune-lab-tune-",
        "--ipc host",
        "sglang:spark python3 -I -c node/idle.py 900",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("--gpus"), "{line}");
    assert!(on(LAB).run_line(&order(true)).to_string().contains("--gpus all"));
}

#[test]
fn a_name_that_no_image_has_is_refused() {
    let error = ImageOnNode::find("a?b").unwrap_err();
    assert!(error.to_string().contains("--image: `a?b` is no image's name"), "{error}");
    assert_eq!(error.kind(), Kind::Input);
}

#[tokio::test]
async fn where_there_is_no_engine_at_all_the_usual_one_is_told_of() {
    let at = |socket: &str| on(&LAB.replace("ssh = \"a\"", &format!("engine_url = \"unix://{socket}\"")));
    let both = ImageOnNode { otherwise: Some(at("/nowhere/podman.sock").node), ..at("/nowhere/docker.sock") };
    let error = both.clone().reach(&CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("`/nowhere/docker.sock` is not there"), "{error}");
    assert_eq!(error.kind(), Kind::Environment);
    // One that is there is asked, and says itself what is wrong with it.
    let file = tempfile::NamedTempFile::new().unwrap();
    let other = ImageOnNode { otherwise: Some(at(file.path().to_str().unwrap()).node), ..both };
    let error = other.clone().reach(&CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = other.reach(&cancel).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
}
