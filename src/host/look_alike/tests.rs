//! The look-alike as a host like any other, and its faults.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::super::{Variable, suite};
use super::*;

struct LookAlikeBed(Arc<LookAlike>);

impl suite::Bed for LookAlikeBed {
    fn new() -> Self {
        Self(Arc::new_cyclic(|host: &std::sync::Weak<LookAlike>| {
            let host = host.clone();
            LookAlike::new("spark-1".parse().unwrap(), move |program, streams| {
                let script = Script::of(program)?;
                let host = host.clone();
                Some(async move { script.run(streams, host).await.unwrap_or(Ending::Exit(1)) }.boxed())
            })
        }))
    }

    fn host(&self) -> &dyn Host {
        &*self.0
    }

    fn folder(&self) -> HostPath {
        HostPath::new("")
    }
}

suite::every_host_passes!(LookAlikeBed);

/// The suite's scripts as a shell would run them.
struct Script {
    text: String,
    program: Program,
}

impl Script {
    fn of(program: &Program) -> Option<Self> {
        match program.argv.as_slice() {
            [shell, option, text] if shell.ends_with("sh") && option == "-c" => {
                Some(Self { text: text.clone(), program: program.clone() })
            }
            _ => None,
        }
    }

    fn value(&self, name: &str) -> &str {
        match self.program.environment.get(name) {
            Some(Variable::Set(value)) => value,
            Some(Variable::Secret(secret)) => secret.reveal(),
            Some(Variable::Unset) | None => "none",
        }
    }

    async fn run(self, mut streams: Streams, host: std::sync::Weak<LookAlike>) -> io::Result<Ending> {
        match self.text.as_str() {
            suite::ECHO => {
                tokio::io::copy(&mut streams.input, &mut streams.output).await?;
            }
            suite::EXIT_3 => return Ok(Ending::Exit(3)),
            suite::KILL_SELF => return Ok(Ending::Signal(15)),
            suite::TWO_STREAMS => {
                streams.output.write_all(b"out\n").await?;
                streams.log.write_all(b"log\n").await?;
            }
            suite::VARIABLES => {
                let said = ["SET", "TOKEN", "PATH"].map(|name| self.value(name)).join("|");
                streams.output.write_all(said.as_bytes()).await?;
            }
            suite::FOREVER => tokio::time::sleep(Duration::from_secs(1000)).await,
            suite::FOLDER => {
                let folder = self.program.directory.unwrap();
                let note = host.upgrade().unwrap().get(&folder.join("note"), 100).await.unwrap();
                streams.output.write_all(&note).await?;
            }
            suite::MUCH => {
                for _ in 0..8000 {
                    streams.output.write_all(&[0; 1000]).await?;
                }
            }
            other => panic!("no such script: {other}"),
        }
        Ok(Ending::Exit(0))
    }
}

/// A program that says a line a second and ends once it has heard nothing for ten.
fn ticking() -> LookAlike {
    LookAlike::new("spark-1".parse().unwrap(), |_, streams| {
        Some(
            async move {
                let Streams { input, mut output, .. } = streams;
                let mut input = BufReader::new(input).lines();
                let say = async {
                    while output.write_all(b"tick\n").await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    std::future::pending().await
                };
                let hear = async {
                    while let Ok(line) =
                        tokio::time::timeout(Duration::from_secs(10), input.next_line()).await
                    {
                        if !matches!(line, Ok(Some(_))) {
                            return Ending::Exit(0);
                        }
                    }
                    Ending::Exit(75)
                };
                tokio::select! { biased; ending = hear => ending, ending = say => ending }
            }
            .boxed(),
        )
    })
}

async fn ticks(host: &LookAlike, fault: HostFault) -> (Process, String, bool) {
    host.expect([Some(fault)]);
    let mut process = host.start(&Program::new("tick", [""; 0])).await.unwrap();
    let mut said = String::new();
    let limit = tokio::time::sleep(Duration::from_secs(5));
    let closed = tokio::select! {
        read = process.output.read_to_string(&mut said) => read.is_ok(),
        () = limit => false,
    };
    (process, said, closed)
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_noticed_and_its_program_goes_on() {
    let host = ticking();
    let (mut process, said, closed) = ticks(&host, HostFault { after: 7, what: HostFaultKind::Lost }).await;
    assert_eq!((said.as_str(), closed), ("tick\nti", true));
    assert!(process.input.write_all(b"x\n").await.is_err());
    assert_eq!(process.end.ended().await, Ending::Lost { why: "connection reset".into() });
    drop(process);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(host.running(), 1);
    // It ends by what it does not hear, not by us.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(host.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_tells_nobody() {
    let host = ticking();
    let (mut process, _, closed) = ticks(&host, HostFault { after: 5, what: HostFaultKind::Silent }).await;
    assert!(!closed);
    process.input.write_all(b"x\n").await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), process.end.ended()).await.unwrap_err();
    process.end.kill();
    assert_eq!(process.end.ended().await, Ending::Lost { why: "no answer".into() });
    drop(process);
    assert_eq!(host.running(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(host.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_program_dies_where_it_is_told_to() {
    let host = ticking();
    let dies = HostFault { after: 10, what: HostFaultKind::Ends(Ending::Signal(11)) };
    let (mut process, said, closed) = ticks(&host, dies).await;
    assert_eq!((said.as_str(), closed), ("tick\ntick\n", true));
    assert_eq!(process.end.ended().await, Ending::Signal(11));
    tokio::task::yield_now().await;
    assert_eq!(host.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn troubles_come_in_turn_and_pass() {
    let host = ticking();
    host.expect([None, Some(HostFault { after: 0, what: HostFaultKind::Unreachable })]);
    let program = Program::new("tick", [""; 0]);
    let _first = host.start(&program).await.unwrap();
    let error = host.start(&program).await.unwrap_err();
    assert_eq!(error.to_string(), "spark-1: cannot be reached: told to be");
    let _third = host.start(&program).await.unwrap();
    assert_eq!(host.running(), 2);
}
