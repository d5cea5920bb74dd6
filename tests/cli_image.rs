//! `sparktune image`: what is refused, and said, before any node is asked.

mod support;

use support::{Sandbox, stderr};

const BARE: &str =
    "name = \"lab\"\nengine = \"none\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\n";
const LAB: &str = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nlocal = true\n\
                   engine_url = \"unix:///none/there.sock\"\n";

#[test]
fn what_cannot_be_is_refused_in_one_message() {
    for (inventory, arguments, code, words) in [
        (None, &["list"][..], 2, "no node of `localhost` has an engine"),
        (Some(BARE), &["sync"], 2, "no node of `lab` has an engine"),
        (Some(LAB), &["sync", "a b"], 2, "IMAGE: `a b` is no image's name"),
        (Some(LAB), &["list", "../x"], 2, "IMAGE: `../x` is no image's name"),
        (Some(LAB), &["sync", "a@sha256:00"], 2, "`a@sha256:00` is no name that a copy could have"),
        (Some(LAB), &["sync", "--from", "n9"], 2, "--from: no node `n9` with an engine"),
        (Some(LAB), &["sync", "--from", "a/b"], 2, "--from: "),
        (Some(LAB), &["sync", "--from", "n1", "--pull"], 2, "cannot be used with"),
        (Some(LAB), &["sync", "--json", "--dry-run"], 2, "cannot be used with"),
        (Some(LAB), &["sync", "--cluster", "none.toml"], 2, "none.toml"),
        (Some(LAB), &["build"], 2, "--tuned <DIR>"),
        (Some(LAB), &["build", "--tuned", "none"], 2, "none"),
        (Some(LAB), &["build", "--tuned", "."], 2, "no config files (E=...json) below `.`"),
        (Some(LAB), &["build", "--tuned", ".", "--tag", "a b"], 2, "--tag: `a b` is no image's name"),
        (Some(LAB), &["build", "--tuned", ".", "--tag", "a:b"], 2, "--tag: `a:b` is what is built on"),
        (Some(LAB), &["build", "--tuned", ".", "--on", "n9"], 2, "--on: no node `n9` with an engine"),
        (Some(LAB), &["build", "--tuned", ".", "a@sha256:00"], 2, "`a@sha256:00` has no tag"),
        (Some(LAB), &["build", "--tuned", ".", "--json", "--dry-run"], 2, "cannot be used with"),
        (Some(LAB), &["list"], 3, "n1: no engine: the socket `/none/there.sock` is not there"),
    ] {
        let sandbox = Sandbox::new();
        if let Some(inventory) = inventory {
            sandbox.write("sparks.toml", inventory);
        }
        let arguments = [&["image"][..], arguments].concat();
        let said = stderr(&sandbox.sparktune(&arguments).assert().code(code));
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn what_a_list_would_ask_needs_no_node() {
    let sandbox = Sandbox::new();
    let inventory = "name = \"lab\"\nimage = \"a:b\"\n[[nodes]]\nname = \"n1\"\nrole = \"head\"\nssh = \"me@nowhere\"\n\
                     [[nodes]]\nname = \"n2\"\nlocal = true\nengine = \"podman\"\nimage = \"c:d\"\n\
                     [[nodes]]\nname = \"n3\"\nssh = \"n3\"\nengine = \"none\"\n";
    sandbox.write("sparks.toml", inventory);
    let text = sandbox.succeeds(&["image", "list", "--dry-run"]);
    let lines: Vec<&str> = text.lines().collect();
    let [n1, ssh, n2, podman] = lines[..] else { panic!("{text}") };
    assert_eq!((n1, n2, podman), ("# n1", "# n2", "podman image inspect c:d"));
    assert!(
        ssh.starts_with("ssh ") && ssh.contains("me@nowhere") && ssh.contains("docker image inspect a:b"),
        "{ssh}"
    );
    let one = sandbox.succeeds(&["image", "list", "--dry-run", "x:y"]);
    assert_eq!(one.matches("image inspect x:y").count(), 2, "{one}");
    let refused = stderr(&sandbox.sparktune(&["image", "list", "--dry-run", "--json"]).assert().code(2));
    assert!(refused.contains("cannot be used with"), "{refused}");
}
