//! What answers come to, with nobody at a terminal.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::cluster::nearby::{NearbyHost, Seen};
use crate::commands::shown::Shown;
use crate::events::Silent;

/// Answers in the order of the questions, and what was shown.
#[derive(Default)]
struct Scripted {
    answers: VecDeque<&'static str>,
    said: Vec<String>,
}

impl Scripted {
    fn of(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().copied().collect(), said: Vec::new() }
    }
}

impl Dialogue for Scripted {
    fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }

    fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        self.said.push(question.to_owned());
        Ok(self.answers.pop_front().map(str::to_owned))
    }
}

fn settings(output: PathBuf) -> InitSettings {
    InitSettings {
        output,
        force: false,
        dry_run: false,
        yes: false,
        name: "lab".into(),
        nodes: Vec::new(),
        head: None,
        engine: None,
        image: None,
        discover: false,
    }
}

fn host(name: Option<&str>, ips: &[&str]) -> NearbyHost {
    let seen = ips.iter().map(|ip| Seen { ip: ip.parse().unwrap(), interface: "enP7s7".into() });
    NearbyHost { name: name.map(str::to_owned), seen: seen.collect::<BTreeSet<_>>() }
}

fn three() -> Found {
    let hosts = vec![
        host(Some("spark-1"), &["10.0.0.1", "169.254.1.1"]),
        host(Some("spark-2"), &["10.0.0.2"]),
        host(None, &["169.254.9.9"]),
    ];
    Found { hosts, notes: Vec::new() }
}

/// The draft of these answers, as name, role, address and destination of each node.
fn drafted(
    settings: &InitSettings,
    answers: &[&'static str],
) -> (Vec<(String, bool, String)>, Draft, Vec<String>) {
    let mut scripted = Scripted::of(answers);
    let mut dialogue: Option<&mut dyn Dialogue> = Some(&mut scripted);
    let draft = draft(settings, Some(&three()), &mut dialogue).unwrap();
    let nodes = draft.nodes.iter().map(|node| {
        let ssh = node.ssh.as_ref().map_or("local".to_owned(), ToString::to_string);
        (node.name.to_string(), node.role == NodeRole::Head, ssh)
    });
    (nodes.collect(), draft.clone(), scripted.said)
}

#[test]
fn found_hosts_are_shown_before_one_chooses() {
    let settings = InitSettings { discover: true, engine: Some(EngineChoice::None), ..settings("x".into()) };
    let (nodes, _, said) = drafted(&settings, &["", "no", ""]);
    let expected = [
        ("spark-1", true, "10.0.0.1"),
        ("spark-2", false, "10.0.0.2"),
        ("host-169-254-9-9", false, "169.254.9.9"),
    ];
    assert_eq!(nodes, expected.map(|(name, head, ssh)| (name.to_owned(), head, ssh.to_owned())));
    let (shown, question) = (&said[0], &said[3]);
    assert_eq!(shown, "  1  spark-1  10.0.0.1 (enP7s7), 169.254.1.1 (enP7s7)");
    assert!(question.starts_with("Which of them are nodes?"), "{said:?}");
}

#[test]
fn some_of_them_with_another_head() {
    let settings = InitSettings { discover: true, ..settings("x".into()) };
    let answers = ["5", "2,1", "no", "spark-9", "spark-2", "containerd", "podman", "localhost/vllm-next"];
    let (nodes, draft, said) = drafted(&settings, &answers);
    let heads: Vec<(&str, bool)> = nodes.iter().map(|(name, head, _)| (name.as_str(), *head)).collect();
    assert_eq!(heads, [("spark-1", false), ("spark-2", true)]);
    assert_eq!(draft.containers, Some((EngineKind::Podman, "localhost/vllm-next".to_owned())));
    for words in ["`5` is no list of numbers from 1 to 3", "`spark-9` is none of", "`containerd` is none of"]
    {
        assert!(said.iter().any(|said| said.contains(words)), "{words}: {said:?}");
    }
}

#[test]
fn this_machine_is_the_head_where_it_is_a_node() {
    let settings = InitSettings { discover: true, engine: Some(EngineChoice::None), ..settings("x".into()) };
    let (nodes, ..) = drafted(&settings, &["2", "yes", ""]);
    assert_eq!((nodes.len(), nodes[0].1, nodes[0].2.as_str()), (2, true, "local"));
    // And alone where nobody else is wanted.
    let (nodes, ..) = drafted(&settings, &["none"]);
    assert_eq!((nodes.len(), nodes[0].1, nodes[0].2.as_str()), (1, true, "local"));
}

#[test]
fn who_was_given_is_not_found_again() {
    let nodes = vec!["spark-1=me@spark-1.local".parse().unwrap(), "b=10.0.0.2".parse().unwrap()];
    let settings =
        InitSettings { discover: true, nodes, engine: Some(EngineChoice::None), ..settings("x".into()) };
    let (nodes, _, said) = drafted(&settings, &["none", ""]);
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert!(said[0].contains("169.254.9.9") && said[1].starts_with("Which of them"), "{said:?}");
}

#[test]
fn who_looked_and_saw_nobody_is_told() {
    let settings = InitSettings { engine: Some(EngineChoice::None), ..settings("x".into()) };
    for (found, said) in [(Some(Found::default()), &["No other machine was found."][..]), (None, &[])] {
        let mut scripted = Scripted::of(&[]);
        let mut dialogue: Option<&mut dyn Dialogue> = Some(&mut scripted);
        assert_eq!(draft(&settings, found.as_ref(), &mut dialogue).unwrap().nodes.len(), 1);
        assert_eq!(scripted.said, said);
    }
}

#[tokio::test]
async fn nothing_is_written_before_yes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparks.toml");
    let settings = InitSettings { engine: Some(EngineChoice::None), ..settings(path.clone()) };
    for answers in [&["no", "no"][..], &["no"], &[]] {
        let mut scripted = Scripted::of(answers);
        let error =
            run(&settings, Some(&mut scripted), &mut Silent, &mut Shown::default()).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), ("nothing was written", Kind::Interrupted));
        assert!(!path.exists());
    }
    let mut scripted = Scripted::of(&["no", ""]);
    let mut out = Shown::default();
    run(&settings, Some(&mut scripted), &mut Silent, &mut out).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(scripted.said.iter().any(|said| said.contains(&text)), "it was shown first");
    assert!(out.0.starts_with("wrote ") && out.0.contains("1 node, head "), "{}", out.0);
}
