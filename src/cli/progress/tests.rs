//! What the bars say. Nothing is drawn where stderr is no terminal; the bars are there all the same.

use super::*;
use crate::events::{
    CompileEvent, Left, LiveView, LoadEvent, LoadPart, MeasureEvent, NodeEvent, StockEvent, Work,
};
use crate::host_name::HostName;
use crate::shape::{Role, Tile};

fn on_a_terminal() -> Progress {
    Progress { screen: Screen::on(true), ..Progress::default() }
}

/// `spark-1` and the like.
fn named(host: &str) -> HostName {
    host.parse().unwrap()
}

fn compiled(done: u64, of: u64) -> CompileEvent {
    let tile = Tile { block_size_m: 64, block_size_n: 128, block_size_k: 128, num_warps: 4, num_stages: 3 };
    let work = Work { done, of };
    CompileEvent::Ended { role: Role::Up, tile, batch_size: None, failed: None, work }
}

/// Position, length and message of the bar of the whole.
fn whole(progress: &Progress) -> Option<(u64, Option<u64>, String)> {
    progress.screen.current().map(|bar| (bar.position(), bar.length(), bar.message()))
}

#[test]
fn one_host_has_its_words_beside_the_bar() {
    let mut progress = on_a_terminal();
    let (told, host) = (&mut progress as &mut dyn Observer, HostName::local());
    told.say_from(&host, NodeEvent::Joined { processors: 2, gpu: None });
    told.say(CompileEvent::Queued { work: Work { done: 0, of: 2 } });
    told.say_from(&host, compiled(1, 2));
    assert_eq!(whole(&progress), Some((1, Some(2), "up 64x128x128 w4 s3".into())));
    assert_eq!(progress.nodes.lines(), []);
    (&mut progress as &mut dyn Observer).say_from(&host, compiled(2, 2));
    assert_eq!(whole(&progress), None, "all is compiled");
}

#[test]
fn several_hosts_have_a_line_each_and_the_whole_has_one() {
    let mut progress = on_a_terminal();
    let told = &mut progress as &mut dyn Observer;
    let hosts = [named("spark-1"), named("spark-2")];
    for host in &hosts {
        told.say_from(host, NodeEvent::Joined { processors: 20, gpu: None });
    }
    told.say(CompileEvent::Queued { work: Work { done: 0, of: 9 } });
    told.say_from(&hosts[0], compiled(1, 9));
    told.say_from(&hosts[1], compiled(2, 9));
    told.say_from(&hosts[1], compiled(3, 9));
    assert_eq!(whole(&progress), Some((3, Some(9), String::new())));
    let last = "compiled, last up 64x128x128 w4 s3";
    let lines = [("spark-1", format!("1 {last}")), ("spark-2", format!("2 {last}"))];
    assert_eq!(progress.nodes.lines(), lines.map(|(host, says)| (host.to_owned(), says)));

    // Measuring goes on with the same lines; one that is lost has none.
    let told = &mut progress as &mut dyn Observer;
    told.say(MeasureEvent::Queued { work: Work { done: 0, of: 18 } });
    told.say_from(&hosts[0], MeasureEvent::Round { batch_size: 64, launches: 40, seconds: 1.0 });
    told.say_from(&hosts[1], NodeEvent::Left { how: Left::Lost { why: "no answer".into() } });
    let measuring = "batch size 64, 40 launches, 1 s";
    assert_eq!(progress.nodes.lines(), [("spark-1".to_owned(), measuring.to_owned())]);
    (&mut progress as &mut dyn Observer).say_from(&hosts[0], NodeEvent::Left { how: Left::Drained });
    assert_eq!(progress.nodes.lines(), []);
}

#[test]
fn who_waits_is_said_once_and_has_its_line_once_it_works() {
    let mut progress = on_a_terminal();
    let told = &mut progress as &mut dyn Observer;
    let hosts = [named("spark-1"), named("spark-2")];
    told.say_from(&hosts[0], NodeEvent::Joined { processors: 20, gpu: None });
    for _ in 0..2 {
        told.say_from(&hosts[1], NodeEvent::Waiting { why: "others".into() });
    }
    told.say(MeasureEvent::Queued { work: Work { done: 0, of: 18 } });
    told.say_from(&hosts[0], MeasureEvent::Round { batch_size: 64, launches: 40, seconds: 1.0 });
    let measuring = |host: &str| (host.to_owned(), "batch size 64, 40 launches, 1 s".to_owned());
    assert_eq!(progress.nodes.lines(), [measuring("spark-1")]);
    let told = &mut progress as &mut dyn Observer;
    told.say_from(&hosts[1], NodeEvent::Joined { processors: 20, gpu: None });
    told.say_from(&hosts[1], MeasureEvent::Round { batch_size: 64, launches: 40, seconds: 1.0 });
    assert_eq!(progress.nodes.lines(), [measuring("spark-1"), measuring("spark-2")]);
}

#[test]
fn a_load_has_its_name_and_figures() {
    let mut progress = on_a_terminal();
    let told = &mut progress as &mut dyn Observer;
    let part = LoadPart::Step { axis: "rate".into(), at: 0.5, number: 2, of: 4 };
    told.say(LoadEvent::Queued { part: part.clone(), work: Work { done: 0, of: 100 } });
    let live = LiveView {
        sent: 48,
        done: 37,
        failed: 1,
        tokens: 4062,
        mean_ttft_ms: Some(131.25),
        mean_itl_ms: Some(21.34),
    };
    let work = Work { done: 38, of: 100 };
    told.say(LoadEvent::Sending { part: part.clone(), work, seconds: 5.0, live });
    let words = "37 done, 1 failed, 812.4 tok/s, TTFT 131 ms, ITL 21.3 ms";
    assert_eq!(progress.screen.current().unwrap().prefix(), "rate 0.5 (2 of 4)");
    assert_eq!(whole(&progress), Some((38, Some(100), words.into())));
    (&mut progress as &mut dyn Observer).say(LoadEvent::Ended { part, work, seconds: 5.0, live });
    assert_eq!(whole(&progress), None, "stopped before its end, and over");
}

#[test]
fn a_step_gives_way_to_the_next_and_a_failure_to_nothing() {
    let mut progress = on_a_terminal();
    let told = &mut progress as &mut dyn Observer;
    told.say(SetupEvent::InstallAssembler);
    told.say(SetupEvent::UnpackSglang { version: "0.5.4.post2".into() });
    assert_eq!(whole(&progress).unwrap().2, "unpacking SGLang 0.5.4.post2 ...");
    let (message, causes, hint) = ("it failed".into(), vec!["because".into()], None);
    (&mut progress as &mut dyn Observer).say(CommandEvent::Failed { exit_code: 3, message, causes, hint });
    assert_eq!(whole(&progress), None);
}

#[test]
fn each_host_shows_the_batch_size_that_its_tuner_is_at() {
    let mut progress = on_a_terminal();
    let told = &mut progress as &mut dyn Observer;
    told.say(StockEvent::Queued { work: Work { done: 1, of: 18 } });
    let hosts = [named("spark-1"), named("spark-2")];
    for (host, batch_size) in hosts.iter().zip([4096, 3072]) {
        told.say_from(host, StockEvent::Started { batch_size });
    }
    let line = Some("3%| 12/364".to_owned());
    for (host, batch_size) in hosts.iter().zip([4096, 3072]) {
        told.say_from(host, StockEvent::Running { batch_size, seconds: 61.0, line: line.clone() });
    }
    let says = |size| format!("batch size {size}, 1 min: 3%| 12/364");
    assert_eq!(progress.nodes.lines(), [("spark-1".into(), says(4096)), ("spark-2".into(), says(3072))]);
    let done = whole(&progress).map(|it| (it.0, it.1));
    assert_eq!(done, Some((1, Some(18))));
    (&mut progress as &mut dyn Observer).say(StockEvent::Ended { work: Work { done: 2, of: 18 } });
    assert_eq!(whole(&progress), None);
}
