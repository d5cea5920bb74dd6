//! An executor that gives and takes binaries, by a store and real messages.

use super::*;
use crate::worker::BinaryStore;

/// Units with these names, each another kernel.
fn kernels(names: &[&str]) -> Vec<Unit> {
    let mut units = units(names);
    for (at, unit) in units.iter_mut().enumerate() {
        unit.config.num_stages += at as u32;
    }
    units
}

/// An executor whose binaries go to the store in this folder, which is there, too.
async fn with_store(
    folder: &std::path::Path,
    behaviour: fn(&str) -> Reaction,
) -> (WorkerExecutor, BinaryStore) {
    let (_, starter) = look_alike::host("spark-1", Arc::new(behaviour));
    let worker = CompileWorker::start(Arc::new(starter), HostPath::new("/sglang")).await.unwrap();
    let store = BinaryStore::new(folder, worker.identity(), &job());
    (WorkerExecutor::new(worker, TimingHalf::None, job(), Some(store.clone())), store)
}

/// What came of each unit.
type Moved = Vec<(String, Result<(), String>)>;

#[tokio::test(start_paused = true)]
async fn binaries_go_by_the_store_from_one_worker_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, _) = with_store(folder.path(), behaving).await;
    let units = kernels(&["a", "b", "c"]);
    let mut moved = Moved::new();
    let mut on_moved = |unit: &str, ended| moved.push((unit.to_owned(), ended));
    first.give(&units[..2], &mut on_moved).await.unwrap();
    let (mut second, _) = with_store(folder.path(), behaving).await;
    // The look-alike looks whether each is the unit's own.
    second.take(&units, &mut on_moved).await.unwrap();
    let absent = Err("it is not whole any more on this machine".to_owned());
    let expected = [("a", Ok(())), ("b", Ok(())), ("c", absent), ("a", Ok(())), ("b", Ok(()))];
    assert_eq!(moved, expected.map(|(unit, ended)| (unit.to_owned(), ended)));
    Box::new(first).close().await;
    Box::new(second).close().await;
}

/// Many go in several requests, each short enough for a line.
#[tokio::test(start_paused = true)]
async fn more_binaries_than_a_line_holds_go_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let (mut executor, store) = with_store(folder.path(), |_| Reaction::Ends(Duration::ZERO)).await;
    // Binaries of a look-alike say their unit's name.
    let name = |at: usize| format!("{at} {}", "x".repeat(400_000));
    let names: Vec<String> = (0..20).map(name).collect();
    let units = kernels(&names.iter().map(String::as_str).collect::<Vec<_>>());
    units.iter().for_each(|unit| store.put(unit, &look_alike::binary(&unit.unit)).unwrap());
    // Eight million bytes, and each twice, as its unit's name.
    let mut taken = 0;
    executor.take(&units, &mut |_, ended| taken += usize::from(ended.is_ok())).await.unwrap();
    assert_eq!(taken, 20);
    Box::new(executor).close().await;
}

/// The worker dies over a binary, says that it has none, sends another than it says, or refuses the request.
#[tokio::test(start_paused = true)]
async fn a_binary_that_does_not_come_is_told_and_a_dead_worker_is_trouble() {
    let behaviour = |name: &str| match name {
        "give dies" | "take dies" => Reaction::Kills(Ending::Signal(9)),
        "give none" => Reaction::Says(serde_json::json!({
            "event": "given", "unit": "none", "outcome": "failed", "reason": "not_kept", "message": "there is none"
        })),
        "give changed" => {
            let mut binary = serde_json::json!(look_alike::binary("changed"));
            binary["content"] = "another".into();
            Reaction::Says(serde_json::json!({
                "event": "given", "unit": "changed", "outcome": "given", "binary": binary
            }))
        }
        "take refuses" => Reaction::Says(
            serde_json::json!({"event": "error", "code": "bad_request", "message": "no such folder"}),
        ),
        "take full" => Reaction::Says(serde_json::json!({
            "event": "taken", "unit": "full", "outcome": "failed", "reason": "not_kept", "message": "disk full"
        })),
        _ => Reaction::Ends(Duration::ZERO),
    };
    for (op, name, expected) in [
        ("give", "none", Some("there is none")),
        ("give", "changed", Some("cannot keep it: it was changed on its way")),
        ("give", "dies", None),
        ("take", "full", Some("disk full")),
        ("take", "refuses", Some("no such folder")),
        ("take", "dies", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (mut executor, store) = with_store(folder.path(), behaviour).await;
        let units = kernels(&["before", name, "after"]);
        let mut moved = Moved::new();
        if op == "take" {
            units.iter().for_each(|unit| store.put(unit, &look_alike::binary(&unit.unit)).unwrap());
        }
        let mut on_moved = |unit: &str, ended| moved.push((unit.to_owned(), ended));
        let ended = match op {
            "give" => executor.give(&units, &mut on_moved).await,
            _ => executor.take(&units, &mut on_moved).await,
        };
        assert_eq!(moved[0], ("before".to_owned(), Ok(())));
        match expected {
            Some(why) => {
                ended.unwrap();
                let (unit, told) = moved.iter().find(|it| it.0 == name).unwrap();
                assert!(told.as_ref().unwrap_err().contains(why), "{unit}: {told:?}");
                assert_eq!(moved.len(), 3, "{moved:?}");
            }
            None => {
                assert!(matches!(ended, Err(Trouble::Died(_))), "{ended:?}");
                assert_eq!(moved.len(), 1, "{moved:?}");
            }
        }
        Box::new(executor).close().await;
    }
}
