//! `sparkbench mock`: a server that behaves exactly so.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::commands::{CommandResult, Output, OutputError, Verdict};
use crate::events::{MockEvent, Observer};
use crate::mock::{MockServer, Scenario};

/// What the user said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MockSettings {
    /// How it behaves.
    pub scenario: Scenario,
    /// Where it listens.
    pub address: SocketAddr,
    /// Print the truth when it stops.
    pub json: bool,
}

/// Serve until `stop`.
pub(crate) async fn run(
    settings: MockSettings,
    stop: CancellationToken,
    observer: &mut dyn Observer,
    out: &mut dyn Output,
) -> CommandResult {
    let MockSettings { scenario, address, json } = settings;
    let model = scenario.model.clone();
    let server = MockServer::bind(scenario, address).await?;
    let truth = server.truth();
    observer.say(MockEvent::Listening { url: format!("http://{}", server.address()), model });
    server.serve(stop).await;
    let report = truth.report();
    if json {
        out.json(&serde_json::json!(report)).map_err(OutputError)?;
    } else {
        let line = format!(
            "{} answers, {} tokens; TTFT p50 {:.1} ms, p99 {:.1} ms; ITL p50 {:.2} ms, p99 {:.2} ms; events late by \
             {:.2} ms (p50), {:.2} ms (p99)",
            report.requests,
            report.tokens,
            report.ttft_ms.p50,
            report.ttft_ms.p99,
            report.itl_ms.p50,
            report.itl_ms.p99,
            report.lateness_ms.p50,
            report.lateness_ms.p99
        );
        out.line(&line).map_err(OutputError)?;
    }
    Ok(Verdict::Done)
}
