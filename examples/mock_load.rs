//! How many chunks a second of CPU time does the mock server write, and how late?
//!
//! `cargo run --release --example mock_load -- [STREAMS] [TOKENS] [ITL_MS]` (1024, 500 and 20 unless told): the
//! mock on a thread of its own, a client on another that reads and throws away. Counted is the mock's thread
//! alone, from Linux's /proc.

#![expect(clippy::disallowed_macros, reason = "an example has no printer")]

use std::time::{Duration, Instant};

use spark::mock::{Scenario, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let streams = given.next().transpose()?.unwrap_or(1024);
    let tokens = given.next().transpose()?.unwrap_or(500);
    let itl = given.next().transpose()?.unwrap_or(20);
    let scenario = Scenario {
        ttft: Duration::from_secs(1),
        itl: Duration::from_millis(itl.into()),
        ..Default::default()
    };
    let mock = spawn(scenario, "127.0.0.1:0".parse()?)?;
    let address = mock.url().trim_start_matches("http://").to_owned();
    let memory_before = resident_kib()?;
    let cpu_before = mock_cpu_s()?;
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let peak_kib = runtime.block_on(async {
        let mut readers = JoinSet::new();
        for n in 0..streams {
            readers.spawn(read(address.clone(), tokens));
            // Their schedules spread over one gap, as those of a busy server do.
            if n % 64 == 63 {
                tokio::time::sleep(Duration::from_millis(u64::from(itl) / 16 + 1)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let peak = resident_kib();
        while let Some(read) = readers.join_next().await {
            read??;
        }
        peak.map_err(Box::<dyn std::error::Error>::from)
    })?;
    let (cpu_s, wall_s) = (mock_cpu_s()? - cpu_before, began.elapsed().as_secs_f64());
    let report = mock.truth().report();
    println!(
        "{} chunks in {wall_s:.1} s: {:.0} a second; mock's CPU {cpu_s:.2} s: {:.0} chunks a CPU second",
        report.tokens,
        report.tokens as f64 / wall_s,
        report.tokens as f64 / cpu_s,
    );
    println!(
        "{} KiB more than before, mock and client together: {:.1} a stream",
        peak_kib - memory_before,
        (peak_kib - memory_before) as f64 / f64::from(streams)
    );
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn read(address: String, tokens: u32) -> std::io::Result<()> {
    let body = format!(
        r#"{{"model":"mock","stream":true,"max_tokens":{tokens},"messages":[{{"role":"user","content":"a"}}]}}"#
    );
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nContent-Length:";
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut bytes = [0; 4096];
    let mut last = Vec::new();
    loop {
        let size = socket.read(&mut bytes).await?;
        last.extend_from_slice(&bytes[..size]);
        if size == 0 || last.ends_with(b"0\r\n\r\n") {
            return Ok(());
        }
        last.drain(..last.len().saturating_sub(8));
    }
}

fn resident_kib() -> Result<u64, std::io::Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0))
}

/// CPU time of the thread named `mock`.
fn mock_cpu_s() -> Result<f64, Box<dyn std::error::Error>> {
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.trim() == "mock" {
            let ns = std::fs::read_to_string(thread.join("schedstat"))?;
            return Ok(ns.split(' ').next().unwrap_or("0").parse::<f64>()? * 1e-9);
        }
    }
    Err("the mock has no thread".into())
}
