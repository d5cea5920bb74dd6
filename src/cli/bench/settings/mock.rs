//! `sparkbench mock`: arguments -> scenario. What a flag does not say, the scenario's file does, else the
//! default.

use std::net::SocketAddr;

use super::Settings;
use crate::cli::bench::args::{MockArgs, ReasoningArg, RoleChunkArg};
use crate::commands::bench::mock::MockSettings;
use crate::mock::scenario::{Detail, ReasoningField, RoleChunk, Wire};
use crate::mock::{Scenario, file};

/// The status of those who are turned away, where nobody says.
const TURNED_AWAY: u16 = 503;

pub(crate) fn mock(args: MockArgs) -> Settings<MockSettings> {
    let MockArgs {
        port,
        host,
        scenario,
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
    let base = match scenario {
        Some(path) => file::read(&path)?,
        // It may run for days.
        None => Scenario { truth: Detail::Distributions, ..Scenario::default() },
    };
    let turn_away = match (turn_away, base.turn_away) {
        (Some(limit), before) => {
            Some((limit, turn_away_status.or(before.map(|it| it.1)).unwrap_or(TURNED_AWAY)))
        }
        (None, before) => before.map(|(limit, status)| (limit, turn_away_status.unwrap_or(status))),
    };
    let wire = Wire {
        crlf: crlf || base.wire.crlf,
        tight: tight || base.wire.tight,
        multi_line: multi_line || base.wire.multi_line,
        split: split.or(base.wire.split),
        comments: comments || base.wire.comments,
        keep_alive: keep_alive.or(base.wire.keep_alive),
    };
    let scenario = Scenario {
        model: model.unwrap_or(base.model),
        max_model_len: max_model_len.unwrap_or(base.max_model_len),
        ttft: ttft.unwrap_or(base.ttft),
        ttft_per_input_token: ttft_per_input_token.unwrap_or(base.ttft_per_input_token),
        itl: itl.unwrap_or(base.itl),
        jitter: jitter.unwrap_or(base.jitter),
        coalesce: coalesce.unwrap_or(base.coalesce),
        accept: accept.unwrap_or(base.accept),
        reasoning: reasoning.unwrap_or(base.reasoning),
        reasoning_field: reasoning_field.map_or(base.reasoning_field, self::reasoning_field),
        tool_call: tool_call || base.tool_call,
        role_chunk: role_chunk.map_or(base.role_chunk, self::role_chunk),
        stop_after: stop_after.or(base.stop_after),
        empty_text: empty_text || base.empty_text,
        cached: cached.unwrap_or(base.cached),
        usage: usage.unwrap_or(base.usage),
        max_running: max_running.or(base.max_running),
        turn_away,
        slow_start: slow_start.unwrap_or(base.slow_start),
        slow_first: slow_first.unwrap_or(base.slow_first),
        slow_by: slow_by.unwrap_or(base.slow_by),
        fault: fault.or(base.fault),
        fault_every: fault_every.unwrap_or(base.fault_every),
        wire,
        api_key: api_key.or(base.api_key),
        seed: seed.unwrap_or(base.seed),
        ..base
    };
    Ok(MockSettings { scenario, address: SocketAddr::new(host, port), json })
}

fn reasoning_field(arg: ReasoningArg) -> ReasoningField {
    match arg {
        ReasoningArg::Sglang => ReasoningField::ReasoningContent,
        ReasoningArg::Vllm => ReasoningField::Reasoning,
    }
}

fn role_chunk(arg: RoleChunkArg) -> RoleChunk {
    match arg {
        RoleChunkArg::AtOnce => RoleChunk::AtOnce,
        RoleChunkArg::WithFirst => RoleChunk::WithFirst,
        RoleChunkArg::Never => RoleChunk::Never,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::bench::args::{BenchArguments, BenchCommand};
    use crate::mock::Fault;

    fn scenario(arguments: &[&str]) -> Scenario {
        let all = [&["sparkbench", "mock"], arguments].concat();
        let BenchCommand::Mock(args) = BenchArguments::try_parse_from(all).unwrap().command else {
            panic!("no mock")
        };
        // A key of the environment is none of this test's business.
        mock(MockArgs { api_key: None, ..*args }).map_err(|error| error.to_string()).unwrap().scenario
    }

    #[test]
    fn without_flags_it_is_the_default() {
        assert_eq!(scenario(&[]), Scenario { truth: Detail::Distributions, ..Scenario::default() });
        assert_eq!(scenario(&["--turn-away", "5"]).turn_away, Some((5, 503)));
    }

    #[test]
    fn a_flag_changes_its_field_of_the_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let text = "model = \"org/m\"\nttft = \"80ms\"\nitl = \"5ms\"\nfault = \"html\"\nturn-away = [8, 429]\n\
                    early-head = true\n[wire]\ncrlf = true\nsplit = 7\n";
        fs_err::write(&path, text).unwrap();
        let file = ["--scenario", path.to_str().unwrap()];
        let said = scenario(&file);
        assert_eq!(said, file::read(&path).unwrap());
        let flags = ["--itl", "9ms", "--turn-away-status", "500", "--tight", "--fault", "no-done"];
        let expected = Scenario {
            itl: Duration::from_millis(9),
            turn_away: Some((8, 500)),
            fault: Some(Fault::NoDone),
            wire: Wire { tight: true, ..said.wire },
            ..said
        };
        assert_eq!(scenario(&[&file[..], &flags].concat()), expected);
        assert_eq!(scenario(&[&file[..], &["--turn-away", "2"]].concat()).turn_away, Some((2, 429)));
    }
}
