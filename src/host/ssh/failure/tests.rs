//! What openssh 9.2 says, from `ssh -M -N -o BatchMode=yes -o LogLevel=INFO`; addresses, keys and paths are made up. The
//! texts of time limits and missing routes are those of its source (misc.c, sshconnect.c) with Linux's `strerror`.

use super::super::SshDestination;
use super::*;

fn of(words: &str) -> SshFailure {
    SshFailure::of(words, &"me@spark-2".parse::<SshDestination>().unwrap().into(), Duration::from_secs(10))
}

const CHANGED: &str = r#"Welcome to a banner. Permission to connect is logged.
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:aeeUKEkLThKkEERQjAkM3yptW8+QFv6buRRIVLlE454.
Please contact your system administrator.
Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /home/me/.ssh/known_hosts:7
  remove with:
  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "spark-2"
Host key for spark-2 has changed and you have requested strict checking.
Host key verification failed.
"#;

#[test]
fn a_host_key_that_changed_is_named_with_its_line_and_what_forgets_it() {
    let failure = of(CHANGED);
    assert_eq!(
        failure,
        SshFailure::HostKeyChanged {
            known: "/home/me/.ssh/known_hosts:7".into(),
            forget: Some(r#"ssh-keygen -f "/home/me/.ssh/known_hosts" -R "spark-2""#.into()),
        }
    );
    assert!(failure.to_string().contains("/home/me/.ssh/known_hosts:7"), "{failure}");
    // Without the lines that name it, it still is no unknown key.
    let cut = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n";
    assert!(matches!(of(cut), SshFailure::HostKeyChanged { forget: None, .. }));
}

#[test]
fn an_unknown_host_key_is_to_be_accepted_by_a_person() {
    let strict = "No ED25519 host key is known for spark-2 and you have requested strict checking.\r\n\
                  Host key verification failed.\r\n";
    for words in ["Host key verification failed.\r\n", strict] {
        let failure = of(words);
        assert_eq!(failure, SshFailure::HostKeyUnknown { destination: "me@spark-2".into() });
        assert!(failure.hint().unwrap().ends_with("ssh me@spark-2"));
    }
}

#[test]
fn a_login_that_would_ask_is_told_from_one_that_takes_keys_alone() {
    let asks = of("me@10.0.0.2: Permission denied (publickey,password).\r\n");
    let words = asks.to_string();
    assert!(words.contains("me@10.0.0.2") && words.contains("asks for a password"), "{words}");
    assert_eq!(asks.hint().unwrap(), "let a key in, once: ssh-copy-id me@spark-2");
    let keys = of("me@10.0.0.2: Permission denied (publickey).\r\n").to_string();
    assert!(keys.contains("(publickey)") && !keys.contains("password"), "{keys}");
    let open = "Permissions 0644 for '/home/me/.ssh/id' are too open.\n\
                Load key \"/home/me/.ssh/id\": bad permissions\nme@10.0.0.2: Permission denied (publickey).\n";
    assert!(of(open).to_string().ends_with("Load key \"/home/me/.ssh/id\": bad permissions"));
}

#[test]
fn what_lies_before_the_login_is_told_apart() {
    let refused = of("ssh: connect to host 10.0.0.2 port 22: Connection refused\r\n");
    assert_eq!(refused, SshFailure::Refused { at: "host 10.0.0.2 port 22".into() });
    let jump = "ssh: connect to host jump port 22: Connection refused\r\n\
                kex_exchange_identification: Connection closed by remote host\r\n\
                Connection closed by UNKNOWN port 65535\r\n";
    assert_eq!(of(jump), SshFailure::Refused { at: "host jump port 22".into() });
    let name = of("ssh: Could not resolve hostname spark-2: Name or service not known\r\n");
    assert_eq!(name, SshFailure::Name { host: "spark-2".into() });
    let temporary = of("ssh: Could not resolve hostname spark-2: Temporary failure in name resolution\r\n");
    assert_eq!(temporary, name);
    for words in [
        "ssh: connect to host 10.0.0.2 port 22: Connection timed out\r\n",
        "Connection timed out during banner exchange\r\nConnection to 10.0.0.2 port 22 timed out\r\n",
    ] {
        assert_eq!(of(words), SshFailure::TimedOut { step: CONNECTING, limit: Duration::from_secs(10) });
    }
    for place in ["10.0.0.2 port 22", "UNKNOWN port 65535"] {
        let silent = of(&format!("Connection to {place} timed out\r\n"));
        assert_eq!(silent, SshFailure::TimedOut { step: LOGGING_IN, limit: Duration::from_secs(10) });
    }
    for why in ["No route to host", "Network is unreachable"] {
        let failure = of(&format!("ssh: connect to host 10.0.0.2 port 22: {why}\r\n"));
        assert_eq!(failure, SshFailure::NoRoute { at: "host 10.0.0.2 port 22".into(), why: why.into() });
    }
    let broken = "kex_exchange_identification: Connection closed by remote host\r\n";
    assert!(matches!(of(broken), SshFailure::BrokenOff { .. }));
}

#[test]
fn what_is_wrong_on_this_machine_is_no_fault_of_the_node() {
    assert_eq!(of("sh: 5: ssh: not found\n"), SshFailure::NoClient);
    for words in [
        "Can't open user config file nofile: No such file or directory\r\n",
        "command-line: line 0: Bad configuration option: foo\r\n",
        "Bad owner or permissions on /home/me/.ssh/config\r\n",
    ] {
        assert_eq!(of(words), SshFailure::Local { why: words.trim().into() });
    }
}

#[test]
fn what_nobody_foresaw_is_told_in_its_own_words() {
    let words = "banner\nUnable to negotiate with 10.0.0.2 port 22: no matching host key type found.\r\n\n";
    let failure = of(words);
    assert!(failure.to_string().contains("no matching host key type found"), "{failure}");
    assert!(of("").to_string().contains("without a word"));
}

#[test]
fn how_a_connection_ended_is_told_in_its_last_words() {
    let lost = |words: &str| SshFailure::lost(words, Duration::from_secs(15));
    assert_eq!(lost("Timeout, server spark-2 not responding.\r\n"), "nothing was heard from there for 15 s");
    let closed = "Connection to 10.0.0.2 closed by remote host.\r\n";
    assert_eq!(
        lost(&format!("channel 2: open failed: connect failed: open failed\r\n{closed}")),
        closed.trim()
    );
    assert_eq!(lost(""), "ssh was ended");
}
