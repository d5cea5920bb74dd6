//! Every value as it is written and read, and what is none.

use std::fmt;
use std::str::FromStr;

use super::*;
use crate::host::HostPath;

fn said<T: FromStr<Err = BadContainerValue> + fmt::Display>(text: &str) -> Result<String, String> {
    text.parse::<T>().map(|value| value.to_string()).map_err(|error| error.to_string())
}

/// `good` as it is written back, and every text of `bad` is refused with all of `words`.
fn try_all<T: FromStr<Err = BadContainerValue> + fmt::Display>(
    good: &[(&str, &str)],
    bad: &[&str],
    words: &str,
) {
    for (text, back) in good {
        assert_eq!(said::<T>(text).as_deref(), Ok(*back), "{text:?}");
        assert_eq!(said::<T>(back).as_deref(), Ok(*back), "{text:?} comes back as it was");
    }
    for text in bad {
        let error = said::<T>(text).unwrap_err();
        assert!(error.starts_with(&format!("`{text}` is no ")) && error.contains(words), "{error}");
    }
}

#[test]
fn limits_are_one_number_or_two() {
    let good = [("-1", "-1"), ("unlimited", "-1"), ("67108864", "67108864"), ("0:-1", "0:-1"), ("5:5", "5")];
    let bad = ["", "-2", "x", "1:2:3", "2:1", "-1:5", "1:", ":1", "1.5", "99999999999999999999"];
    try_all::<Ulimit>(&good, &bad, "`SOFT:HARD`");
    assert_eq!("1:2".parse(), Ok(Ulimit { soft: 1, hard: 2 }));
}

#[test]
fn sizes_have_units_of_1024() {
    let good =
        [("16g", "16g"), ("64MiB", "64m"), ("1024", "1k"), ("1536k", "1536k"), ("7b", "7b"), ("2TB", "2t")];
    let bad = ["", "0", "-1", "+1", "16 g", "1.5g", "g", "16x", "16bb", "16gg", "99999999t", "ä", "1ä"];
    try_all::<ByteSize>(&good, &bad, "`16g`");
    assert_eq!("16g".parse(), Ok(ByteSize(17_179_869_184)));
}

#[test]
fn devices_are_absolute_paths() {
    let good = [
        ("/dev/infiniband", "/dev/infiniband"),
        ("/dev/a:/dev/b", "/dev/a:/dev/b"),
        ("/dev/a:/dev/a:rwm", "/dev/a"),
        ("/dev/a:r", "/dev/a:r"),
        ("/dev/a:/dev/b:mr", "/dev/a:/dev/b:mr"),
    ];
    let bad =
        ["", "/", "dev/a", "/dev/a:", "/dev/a:x", "/dev/a:rr", "/dev/a:/b:", "/a:/b:r:/c", "/dev/../etc"];
    try_all::<Device>(&good, &bad, "`/dev/infiniband`");
}

#[test]
fn capabilities_are_names() {
    let good = [("IPC_LOCK", "IPC_LOCK"), ("cap_sys_nice", "SYS_NICE"), ("ALL", "ALL")];
    try_all::<Capability>(&good, &["", "CAP_", "IPC LOCK", "IPC-LOCK", "ä"], "`IPC_LOCK`");
}

#[test]
fn volumes_are_below_the_root_or_the_home() {
    let good = [
        ("/a:/b", "/a:/b"),
        ("/a:/b:rw", "/a:/b"),
        (
            "~/.cache/huggingface:/root/.cache/huggingface:ro",
            "~/.cache/huggingface:/root/.cache/huggingface:ro",
        ),
    ];
    let bad = [
        "",
        "/a",
        "a:/b",
        "./a:/b",
        "/a:b",
        "~:/b",
        "~/:/b",
        "~you/a:/b",
        "/a:/b:z",
        "/a/../b:/c",
        "/a:/b:ro:ro",
    ];
    try_all::<Volume>(&good, &bad, "`SOURCE:TARGET`");
    let of = |text: &str| text.parse::<Volume>().unwrap().source.on(&HostPath::new("/home/me"));
    assert_eq!(of("~/.cache:/x"), HostPath::new("/home/me/.cache"));
    assert_eq!(of("/raid:/x"), HostPath::new("/raid"));
}

#[test]
fn restart_policies_are_the_engines() {
    let all = ["no", "always", "unless-stopped", "on-failure", "on-failure:3"];
    let good = all.map(|text| (text, text));
    try_all::<Restart>(&good, &["", "yes", "on-failure:", "on-failure:0", "on-failure:x", "Always"], "`no`");
}

#[test]
fn paths_of_nodes_are_absolute_or_below_the_home() {
    let good = [("/a/b", "/a/b"), ("~/a", "~/a")];
    try_all::<NodePath>(&good, &["", "/", "a", "~", "~/", "~a/b", "/a/../b", "~/..", "/a\0"], "`~/`");
}
