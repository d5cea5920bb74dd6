//! `sparkbench mock`: arguments -> scenario.

use std::net::SocketAddr;

use crate::cli::bench::args::{MockArgs, ReasoningArg};
use crate::commands::bench::mock::MockSettings;
use crate::mock::Scenario;
use crate::mock::scenario::{ReasoningField, RoleChunk, Wire};

/// Servers under overload say this.
const OVERLOADED: u16 = 503;

pub fn mock(args: MockArgs) -> MockSettings {
    let MockArgs {
        port,
        host,
        model,
        max_model_len,
        api_key,
        seed,
        ttft,
        ttft_per_input_token,
        itl,
        jitter,
        max_running,
        turn_away,
        slow_start,
        coalesce,
        accept,
        reasoning,
        reasoning_field,
        tool_call,
        no_role_chunk,
        empty_text,
        cached,
        usage,
        fault,
        fault_every,
        crlf,
        split,
        comments,
        keep_alive,
        json,
    } = args;
    let reasoning_field = match reasoning_field {
        ReasoningArg::Sglang => ReasoningField::ReasoningContent,
        ReasoningArg::Vllm => ReasoningField::Reasoning,
    };
    let scenario = Scenario {
        model,
        max_model_len,
        ttft,
        ttft_per_input_token,
        itl,
        jitter,
        coalesce,
        accept,
        reasoning,
        reasoning_field,
        tool_call,
        role_chunk: if no_role_chunk { RoleChunk::Never } else { RoleChunk::AtOnce },
        empty_text,
        cached,
        usage,
        max_running,
        turn_away: turn_away.map(|limit| (limit, OVERLOADED)),
        slow_start,
        fault,
        fault_every,
        wire: Wire { crlf, split, comments, keep_alive, ..Wire::default() },
        api_key,
        seed,
        // What has no flag yet.
        ..Scenario::default()
    };
    MockSettings { scenario, address: SocketAddr::new(host, port), json }
}
