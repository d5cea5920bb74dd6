//! `sparkbench mock`: arguments -> scenario.

use std::net::SocketAddr;

use crate::cli::bench::args::{MockArgs, ReasoningArg, RoleChunkArg};
use crate::commands::bench::mock::MockSettings;
use crate::mock::Scenario;
use crate::mock::scenario::{Detail, ReasoningField, RoleChunk, Wire};

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
        turn_away_status,
        slow_start,
        slow_first,
        slow_by,
        coalesce,
        accept,
        stop_after,
        reasoning,
        reasoning_field,
        tool_call,
        role_chunk,
        empty_text,
        cached,
        usage,
        fault,
        fault_every,
        crlf,
        split,
        multi_line,
        tight,
        comments,
        keep_alive,
        json,
    } = args;
    let reasoning_field = match reasoning_field {
        ReasoningArg::Sglang => ReasoningField::ReasoningContent,
        ReasoningArg::Vllm => ReasoningField::Reasoning,
    };
    let role_chunk = match role_chunk {
        RoleChunkArg::AtOnce => RoleChunk::AtOnce,
        RoleChunkArg::WithFirst => RoleChunk::WithFirst,
        RoleChunkArg::Never => RoleChunk::Never,
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
        role_chunk,
        stop_after,
        empty_text,
        cached,
        usage,
        max_running,
        turn_away: turn_away.map(|limit| (limit, turn_away_status)),
        slow_start,
        slow_first,
        slow_by,
        fault,
        fault_every,
        wire: Wire { crlf, tight, multi_line, split, comments, keep_alive },
        api_key,
        seed,
        // It may run for days.
        truth: Detail::Distributions,
        ..Scenario::default()
    };
    MockSettings { scenario, address: SocketAddr::new(host, port), json }
}
