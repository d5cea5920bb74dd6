//! What befalls programs that outlive the connection, on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::*;
use crate::failure::{Failure, Kind};
use crate::host::{Here, suite};

struct Bed {
    here: Here,
    folder: TempDir,
}

impl Bed {
    fn new() -> Self {
        Self { here: Here::named("spark-1".parse().unwrap()), folder: tempfile::tempdir().unwrap() }
    }

    fn programs(&self) -> suite::Programs<'_> {
        suite::Programs::new(&self.here, &HostPath::try_from(self.folder.path()).unwrap())
    }

    fn record(&self, id: &DetachedId) -> PathBuf {
        self.folder.path().join("state/programs").join(id.to_string()).join("record.json")
    }

    fn read(&self, id: &DetachedId) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.record(id)).unwrap()).unwrap()
    }
}

fn sleeps() -> Program {
    Program::new("sleep", ["60"])
}

fn kill(pid: &serde_json::Value) {
    let pid = Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Who has a file open.
fn readers(path: &Path) -> Vec<i32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    let has_it = |pid: &i32| {
        // Some end meanwhile.
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|open| open == path)
    };
    names.filter_map(|name| name.to_str()?.parse().ok()).filter(has_it).collect()
}

async fn wait(mut until: impl FnMut() -> bool) {
    let comes = async {
        while !until() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), comes).await.expect("it never came");
}

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_program_whose_record_is_lost_is_found_and_ended_by_its_mark() {
    let bed = Bed::new();
    let it = bed.programs();
    let id = it.start(&sleeps()).await;
    fs::remove_dir_all(bed.record(&id).parent().unwrap()).unwrap();
    let [found] = &it.found().await[..] else { panic!("{:?}", it.found().await) };
    assert_eq!((&found.id, &found.labels, &found.argv), (&id, &it.labels.pairs(), &None));
    let DetachedState::Running { pid } = found.state else { panic!("{found:?}") };
    assert_eq!(it.end(&id, GRACE).await, Downed { how: DetachedEnding::Unseen, killed: 0 });
    assert!(!suite::runs(&bed.here, &pid.to_string()).await);
    assert_eq!(it.found().await, []);
}

#[tokio::test]
async fn a_program_whose_keeper_is_gone_runs_on_and_ends_unseen() {
    let bed = Bed::new();
    let it = bed.programs();
    let id = it.start(&sleeps()).await;
    kill(&bed.read(&id)["keeper"]["pid"]);
    assert!(matches!(it.state(&id).await, DetachedState::Running { .. }));
    assert_eq!(it.end(&id, GRACE).await, Downed { how: DetachedEnding::Unseen, killed: 0 });
    assert_eq!(it.ending(&id).await, (DetachedEnding::Unseen, 0));
    it.programs.forget(&id).await.unwrap();
}

#[tokio::test]
async fn a_number_that_is_another_processes_by_now_is_not_the_programs() {
    let bed = Bed::new();
    let it = bed.programs();
    let mut bystander = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    let id = it.start(&sleeps()).await;
    let mut record = bed.read(&id);
    it.end(&id, GRACE).await;
    let ended = fs::read_dir(bed.record(&id).parent().unwrap()).unwrap().flatten();
    let ended =
        ended.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("/ended-")).unwrap();
    fs::remove_file(ended).unwrap();
    let number = bystander.id().unwrap();
    for (who, boot) in [("program", None), ("keeper", None), ("program", Some("another boot"))] {
        // Of its number, but begun at another time; or at the same, before the machine was restarted.
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap();
        let began: u64 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let ticks = if boot.is_some() { began } else { began + 1 };
        record[who] = serde_json::json!({"pid": number, "ticks": ticks});
        record["boot"] = boot.map_or(record["boot"].clone(), Into::into);
        fs::write(bed.record(&id), record.to_string()).unwrap();
        assert_eq!(it.ending(&id).await, (DetachedEnding::Unseen, 0), "{who}");
        it.end(&id, Duration::ZERO).await;
        assert!(bystander.try_wait().unwrap().is_none(), "{who}");
    }
}

#[tokio::test]
async fn records_of_other_machines_and_damaged_ones_are_told_apart() {
    let bed = Bed::new();
    let it = bed.programs();
    let ids = [it.start(&sleeps()).await, it.start(&sleeps()).await];
    // A home that machines share.
    let mut record = bed.read(&ids[0]);
    record["place"] = "another machine".into();
    let whole = fs::read(bed.record(&ids[0])).unwrap();
    fs::write(bed.record(&ids[0]), record.to_string()).unwrap();
    fs::write(bed.record(&ids[1]), "{").unwrap();
    let list = it.programs.list(&it.labels.pairs()).await.unwrap();
    assert_eq!(list.damaged, [HostPath::try_from(&*bed.record(&ids[1])).unwrap()]);
    // By their marks.
    assert!(list.programs.iter().all(|program| program.argv.is_none()), "{list:?}");
    assert_eq!(list.programs.len(), 2);
    let error = it.programs.forget(&ids[0]).await.unwrap_err();
    assert!(matches!(error.what, DetachedFailure::NoProgram(_)), "{error:?}");
    fs::write(bed.record(&ids[0]), whole).unwrap();
    for id in &ids {
        it.end(id, GRACE).await;
    }
}

#[tokio::test]
async fn where_no_record_can_be_kept_nothing_is_started_and_the_fix_is_named() {
    let bed = Bed::new();
    let mut it = bed.programs();
    // Nobody makes a folder there, not even root.
    it.programs.records = Some(HostPath::new("/sys/programs"));
    let error = it.programs.start(&sleeps(), &it.labels).await.unwrap_err();
    assert!(
        matches!(&error.what, DetachedFailure::Denied { path, .. } if path.as_str() == "/sys/programs"),
        "{error:?}"
    );
    assert!(
        error.to_string().starts_with("spark-1: cannot keep a record of a program in `/sys/programs`: "),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Environment);
    assert!(error.hint().unwrap().contains("XDG_STATE_HOME"), "{error:?}");
    assert_eq!(it.found().await, []);
    // A link is somebody's way to have it written elsewhere.
    let link = bed.folder.path().join("link");
    std::os::unix::fs::symlink(bed.folder.path(), &link).unwrap();
    it.programs.records = Some(HostPath::try_from(&*link).unwrap());
    let error = it.programs.start(&sleeps(), &it.labels).await.unwrap_err();
    assert!(matches!(&error.what, DetachedFailure::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_start_that_is_given_up_is_found_or_was_none() {
    let bed = Bed::new();
    let it = bed.programs();
    for wait in [1, 20, 60, 100, 150, 300] {
        let program = sleeps();
        let start = it.programs.start(&program, &it.labels);
        let _ = tokio::time::timeout(Duration::from_millis(wait), start).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for program in it.found().await {
        assert!(matches!(program.state, DetachedState::Running { .. }), "{program:?}");
        it.end(&program.id, GRACE).await;
        it.programs.forget(&program.id).await.unwrap();
    }
    assert_eq!(it.found().await, []);
}

#[tokio::test]
async fn who_does_not_follow_any_more_leaves_nobody_behind() {
    let bed = Bed::new();
    let it = bed.programs();
    let id = it.start(&sleeps()).await;
    let DetachedState::Running { pid } = it.state(&id).await else { panic!("it has ended") };
    let file = bed.record(&id).with_file_name("log");
    let log = it.programs.follow(&id, 0).await.unwrap();
    let mut reader = None;
    wait(|| {
        reader = readers(&file).into_iter().find(|reader| *reader != pid);
        reader.is_some()
    })
    .await;
    drop(log);
    wait(|| !readers(&file).contains(&reader.unwrap())).await;
    assert_eq!(readers(&file), [pid], "the program runs on");
    it.end(&id, GRACE).await;
    let mut log = it.programs.follow(&id, 0).await.unwrap();
    assert!(log.next().await.is_none(), "of one that has ended already");
}

#[tokio::test]
async fn a_host_without_python_says_so() {
    let bed = Bed::new();
    let mut it = bed.programs();
    it.programs.python = HostPath::new("no-such-python");
    for error in [
        it.programs.start(&sleeps(), &it.labels).await.unwrap_err(),
        it.programs.follow(&DetachedId::new(), 1).await.unwrap_err(),
    ] {
        assert!(matches!(error.what, DetachedFailure::Ask(_)), "{error:?}");
        assert!(error.hint().unwrap().contains("python3"), "{error:?}");
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let bed = Bed::new();
    let mut it = bed.programs();
    it.programs.python = HostPath::new("echo");
    for error in [
        it.programs.list(&it.labels.pairs()).await.unwrap_err(),
        it.programs.follow(&DetachedId::new(), 1).await.unwrap_err(),
    ] {
        assert!(matches!(error.what, DetachedFailure::Garbled(_)), "{error:?}");
    }
}
