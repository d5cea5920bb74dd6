//! What every host that has Python must do with programs that outlive the connection.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{said, sh, soon};
use crate::host::container_spec::Labels;
use crate::host::detached::{
    Detached, DetachedEnding, DetachedFailure, DetachedId, DetachedPrograms, DetachedState, Downed,
};
use crate::host::{BadProgram, Host, HostPath, Program, Variable};
use crate::secret::Secret;

/// Longer than any check takes, and short enough to be left behind by one that fails.
const FOR_LONG: &str = "exec sleep 60";
const GRACE: Duration = Duration::from_secs(10);

/// The programs of one check.
pub(in crate::host) struct Programs<'a> {
    pub(in crate::host) programs: DetachedPrograms<'a>,
    pub(in crate::host) labels: Labels,
}

impl<'a> Programs<'a> {
    pub(in crate::host) fn new(host: &'a dyn Host, folder: &HostPath) -> Self {
        let owner = crate::host::remote::chance();
        let labels = Labels { cluster: "test".into(), purpose: "serve".into(), owner, ..Labels::default() };
        let records = Some(folder.join("state/programs"));
        Self { programs: DetachedPrograms { host, python: HostPath::new("python3"), records }, labels }
    }

    pub(in crate::host) async fn start(&self, program: &Program) -> DetachedId {
        self.try_start(program).await.unwrap_or_else(|why| panic!("{why}"))
    }

    async fn try_start(&self, program: &Program) -> Result<DetachedId, DetachedFailure> {
        soon(self.programs.start(program, &self.labels)).await.map_err(|error| {
            assert_eq!(error.on, *self.programs.host.name());
            error.what
        })
    }

    /// Those of this check.
    pub(in crate::host) async fn found(&self) -> Vec<Detached> {
        let list = soon(self.programs.list(&self.labels.pairs())).await;
        let list = list.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(list.damaged, []);
        list.programs
    }

    pub(in crate::host) async fn state(&self, id: &DetachedId) -> DetachedState {
        let found = self.found().await;
        found.iter().find(|program| program.id == *id).unwrap_or_else(|| panic!("{found:?}")).state
    }

    /// How the program ended, once it has.
    pub(in crate::host) async fn ending(&self, id: &DetachedId) -> (DetachedEnding, usize) {
        soon(async {
            loop {
                if let DetachedState::Ended { how, left, .. } = self.state(id).await {
                    return (how, left);
                }
            }
        })
        .await
    }

    pub(in crate::host) async fn end(&self, id: &DetachedId, grace: Duration) -> Downed {
        soon(self.programs.end(id, grace)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn log(&self, id: &DetachedId, lines: usize) -> String {
        let log = soon(self.programs.log(id, lines)).await.unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8(log).unwrap()
    }
}

/// Whether a process of that number runs on the host.
pub(in crate::host) async fn runs(host: &dyn Host, pid: &str) -> bool {
    let script =
        format!("read stat < /proc/{pid}/stat && case $stat in *') Z '*) ;; *) echo yes;; esac; true");
    said(host, &sh(&script)).await == "yes\n"
}

/// What a program writes to a file, once it has.
pub(in crate::host) async fn noted(host: &dyn Host, path: &HostPath) -> String {
    soon(async {
        loop {
            match host.get(path, 100).await {
                Ok(text) if text.ends_with(b"\n") => {
                    return String::from_utf8(text).unwrap().trim().to_owned();
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

pub(in crate::host) async fn a_detached_program_is_found_ended_and_forgotten(
    host: &dyn Host,
    folder: HostPath,
) {
    let it = Programs::new(host, &folder);
    assert_eq!(it.found().await, []);
    let program = sh("echo up; echo \"$PWD $WORD\"; exec sleep 60");
    let program =
        Program { directory: Some(folder.clone()), ..program }.with("WORD", Variable::Set("a b".into()));
    let id = it.start(&program).await;
    let [found] = &it.found().await[..] else { panic!("{:?}", it.found().await) };
    assert_eq!((&found.id, &found.labels, &found.argv), (&id, &it.labels.pairs(), &Some(program.argv)));
    let (Some(_), DetachedState::Running { pid }) = (found.started, found.state) else { panic!("{found:?}") };
    assert!(runs(host, &pid.to_string()).await);
    assert_eq!(it.log(&id, 9).await, format!("up\n{folder} a b\n"));
    assert_eq!(it.log(&id, 1).await, format!("{folder} a b\n"));
    assert_eq!(it.log(&id, 0).await, "");
    let others = BTreeMap::from([(format!("{}owner", Labels::PREFIX), "nobody".to_owned())]);
    assert_eq!(soon(it.programs.list(&others)).await.unwrap().programs, []);
    let error = soon(it.programs.forget(&id)).await.unwrap_err();
    assert!(matches!(error.what, DetachedFailure::Runs(_)), "{error:?}");
    for _ in 0..2 {
        let ended = it.end(&id, GRACE).await;
        assert_eq!(ended, Downed { how: DetachedEnding::Signal(15), killed: 0 });
    }
    assert!(!runs(host, &pid.to_string()).await);
    assert_eq!(it.ending(&id).await, (DetachedEnding::Signal(15), 0));
    assert_eq!(it.log(&id, 1).await, format!("{folder} a b\n"));
    soon(it.programs.forget(&id)).await.unwrap();
    assert_eq!(it.found().await, []);
    for error in [
        soon(it.programs.forget(&id)).await.unwrap_err(),
        soon(it.programs.log(&id, 1)).await.unwrap_err(),
        soon(it.programs.end(&id, GRACE)).await.unwrap_err(),
    ] {
        assert!(matches!(error.what, DetachedFailure::NoProgram(_)), "{error:?}");
    }
}

pub(in crate::host) async fn the_end_of_a_detached_program_is_noted(host: &dyn Host, folder: HostPath) {
    let it = Programs::new(host, &folder);
    let [exits, is_killed] = ["sleep 2; exit 3", "sleep 2; kill -9 $$"].map(sh);
    let ids = [it.start(&exits).await, it.start(&is_killed).await];
    assert_eq!(it.ending(&ids[0]).await, (DetachedEnding::Exit(3), 0));
    assert_eq!(it.ending(&ids[1]).await, (DetachedEnding::Signal(9), 0));
    let found = it.found().await;
    assert_eq!(found.iter().map(|it| &it.id).collect::<Vec<_>>(), [&ids[0], &ids[1]], "the oldest first");
    for program in found {
        let DetachedState::Ended { at, .. } = program.state else { panic!("{program:?}") };
        assert!(at.unwrap() > program.started.unwrap(), "{program:?}");
    }
}

pub(in crate::host) async fn a_detached_program_that_ends_at_once_says_why(
    host: &dyn Host,
    folder: HostPath,
) {
    let it = Programs::new(host, &folder);
    let why = it.try_start(&sh("echo port taken >&2; pwd; echo bye; exit 7")).await.unwrap_err();
    let DetachedFailure::EndedAtOnce { id, how: DetachedEnding::Exit(7), log, .. } = &why else {
        panic!("{why:?}")
    };
    // It began where any other program does.
    let begins = said(host, &sh("pwd")).await;
    assert_eq!(log[..], ["port taken", begins.trim_end(), "bye"]);
    assert_eq!(why.to_string(), "`sh` ended at once (exit status: 7) and said `bye`");
    assert_eq!(it.log(id, 9).await, format!("port taken\n{begins}bye\n"));
    soon(it.programs.forget(id)).await.unwrap();
}

pub(in crate::host) async fn of_a_detached_program_that_cannot_start_nothing_is_left(
    host: &dyn Host,
    folder: HostPath,
) {
    let it = Programs::new(host, &folder);
    let missing = Program::new(folder.join("no-program").as_str(), ["x"]);
    let why = it.try_start(&missing).await.unwrap_err();
    assert!(matches!(&why, DetachedFailure::Start { program, .. } if *program == missing.argv[0]), "{why:?}");
    assert!(why.to_string().contains("No such file"), "{why}");
    let nowhere = Program { directory: Some(folder.join("nowhere")), ..sh(FOR_LONG) };
    let why = it.try_start(&nowhere).await.unwrap_err();
    assert!(why.to_string().contains("nowhere"), "{why}");
    let limited = Program { limit: Some(Duration::from_secs(1)), ..sh(FOR_LONG) };
    assert!(matches!(it.try_start(&limited).await.unwrap_err(), DetachedFailure::Limited));
    let nameless = Program { argv: Vec::new(), ..sh(FOR_LONG) };
    let why = it.try_start(&nameless).await.unwrap_err();
    assert!(matches!(why, DetachedFailure::BadProgram(BadProgram::Nameless)), "{why:?}");
    assert_eq!(it.found().await, []);
    let left = said(host, &sh(&format!("ls -A {}", folder.join("state/programs")))).await;
    assert_eq!(left, "");
}

/// One that clears its variables, leaves its session and loses its parent.
const ESCAPES: &str = "import os, shutil, sys
sleep = shutil.which('sleep')
if os.fork():
    os._exit(0)
os.setsid()
with open(sys.argv[1], 'w') as file:
    file.write(f'{os.getpid()}\\n')
os.execve(sleep, [sleep, '60'], {})
";

pub(in crate::host) async fn a_detached_program_takes_along_what_escaped(host: &dyn Host, folder: HostPath) {
    let it = Programs::new(host, &folder);
    // It hears no SIGTERM, and neither does what it starts.
    let script = "trap '' TERM; sleep 60 & echo $! > \"$1\"; python3 -c \"$3\" \"$2\"; wait";
    let [child, escaped] = ["child", "escaped"].map(|name| folder.join(name));
    let words = ["-c", script, "sh", child.as_str(), escaped.as_str(), ESCAPES];
    let id = it.start(&Program::new("sh", words)).await;
    let beside = it.start(&sh(FOR_LONG)).await;
    let pids = [noted(host, &child).await, noted(host, &escaped).await];
    for pid in &pids {
        assert!(runs(host, pid).await);
    }
    let ended = it.end(&id, Duration::from_millis(300)).await;
    // The one that cleared its variables still hears SIGTERM; the shell ignores it, and so does its child.
    assert_eq!((ended.how, ended.killed >= 2), (DetachedEnding::Signal(9), true), "{ended:?}");
    for pid in &pids {
        assert!(!runs(host, pid).await, "{pids:?}");
    }
    assert!(matches!(it.state(&beside).await, DetachedState::Running { .. }));
    it.end(&beside, GRACE).await;
}

pub(in crate::host) async fn what_a_detached_program_leaves_behind_is_counted_and_ended(
    host: &dyn Host,
    folder: HostPath,
) {
    let it = Programs::new(host, &folder);
    let note = folder.join("daemon");
    let why = it.try_start(&Program::new("python3", ["-c", ESCAPES, note.as_str()])).await.unwrap_err();
    let DetachedFailure::EndedAtOnce { id, how: DetachedEnding::Exit(0), .. } = &why else {
        panic!("{why:?}")
    };
    let daemon = noted(host, &note).await;
    assert_eq!(it.ending(id).await, (DetachedEnding::Exit(0), 1));
    let error = soon(it.programs.forget(id)).await.unwrap_err();
    assert!(matches!(error.what, DetachedFailure::Runs(_)), "{error:?}");
    it.end(id, GRACE).await;
    assert!(!runs(host, &daemon).await);
    assert_eq!(it.ending(id).await, (DetachedEnding::Exit(0), 0));
}

pub(in crate::host) async fn a_detached_log_is_followed_to_the_end(host: &dyn Host, folder: HostPath) {
    let it = Programs::new(host, &folder);
    let go = folder.join("go");
    let script = format!(
        "echo one; echo two; until [ -e {go} ]; do sleep 0.1; done; echo three; sleep 1; printf four"
    );
    let id = it.start(&sh(&script)).await;
    let mut log = soon(it.programs.follow(&id, 1)).await.unwrap_or_else(|error| panic!("{error}"));
    let first = soon(log.next()).await.unwrap().unwrap();
    assert_eq!(&*first, b"two\n", "before the program ends");
    host.replace(&go, b"").await.unwrap();
    let mut rest = Vec::new();
    while let Some(piece) = soon(log.next()).await {
        rest.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(String::from_utf8(rest).unwrap(), "three\nfour");
    assert!(soon(log.next()).await.is_none());
    assert_eq!(it.log(&id, 2).await, "three\nfour");
}

pub(in crate::host) async fn secrets_of_a_detached_program_are_on_no_disk_and_no_command_line(
    host: &dyn Host,
    folder: HostPath,
) {
    let it = Programs::new(host, &folder);
    let secret = crate::host::remote::chance();
    let program =
        sh("echo ${#TOKEN}; exec sleep 60").with("TOKEN", Variable::Secret(Secret::new(secret.clone())));
    let id = it.start(&program).await;
    assert_eq!(it.log(&id, 9).await, "32\n");
    // What looks is told by its input, which nobody else sees.
    let look = "import os, sys
secret, folder = sys.stdin.buffer.read().split(b' ')
names = [os.path.join(at, name) for at, _, files in os.walk(folder) for name in files]
names += [f'/proc/{pid}/cmdline' for pid in os.listdir('/proc') if pid.isdigit()]
for name in names:
    try:
        with open(name, 'rb') as file:
            if secret in file.read():
                print(name)
    except OSError:
        pass
print(len(names) > 3, oct(os.stat(folder).st_mode & 0o777))
";
    let told = format!("{secret} {}", folder.join("state/programs"));
    let answer = crate::host::ask::ask(host, &it.programs.python, look, &[told.as_bytes()], GRACE).await;
    assert_eq!(String::from_utf8(answer.unwrap()).unwrap(), "True 0o700\n");
    it.end(&id, GRACE).await;
}

/// The same for hosts that have Python.
macro_rules! every_host_with_python_passes {
    ($bed:ty) => {
        $crate::host::suite::every_host_with_python_passes!(#[cfg(test)] $bed);
    };
    (#[$how:meta] $bed:ty) => {
        $crate::host::suite::every_host_passes!(#[$how] $bed);
        $crate::host::suite::every_host_passes!(#[$how] $bed:
            a_detached_program_is_found_ended_and_forgotten,
            the_end_of_a_detached_program_is_noted,
            a_detached_program_that_ends_at_once_says_why,
            of_a_detached_program_that_cannot_start_nothing_is_left,
            a_detached_program_takes_along_what_escaped,
            what_a_detached_program_leaves_behind_is_counted_and_ended,
            a_detached_log_is_followed_to_the_end,
            secrets_of_a_detached_program_are_on_no_disk_and_no_command_line,
        );
    };
}
pub(in crate::host) use every_host_with_python_passes;
