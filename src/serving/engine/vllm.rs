//! vLLM's server.
//!
//! The executor between nodes is always named: older releases take Ray by themselves, newer ones refuse to guess
//! (`config/parallel.py` of 0.33.0).

use serde_json::json;

use super::{Process, Words};

/// vLLM's own (`arg_utils.py`: `--master-port`).
const RENDEZVOUS_PORT: u16 = 29501;

pub(super) fn command(process: &Process<'_>, words: &mut Words) {
    let Process { recipe, on, head, rank, nodes } = process;
    let keys = &recipe.keys;
    let split = recipe.split();
    words.0.push(on.script("vllm"));
    words.add(["serve", &recipe.model]);
    words.optional("--served-model-name", keys.served_name.as_ref());
    words.flag("--host", "0.0.0.0");
    words.flag("--port", recipe.port());
    words.flag("--tensor-parallel-size", split.tp);
    words.above_one("--pipeline-parallel-size", split.pp);
    words.switch("--enable-expert-parallel", split.ep > 1);
    if *nodes > 1 {
        match keys.ray {
            Some(_) => words.flag("--distributed-executor-backend", "ray"),
            None => {
                words.flag("--distributed-executor-backend", "mp");
                words.flag("--nnodes", nodes);
                words.flag("--node-rank", rank);
                words.flag("--master-addr", head.address);
                words.flag("--master-port", keys.rendezvous_port.unwrap_or(RENDEZVOUS_PORT));
                words.switch("--headless", *rank > 0);
            }
        }
    }
    words.switch("--trust-remote-code", keys.trust_remote_code);
    words.optional("--gpu-memory-utilization", keys.memory_fraction);
    words.optional("--max-model-len", keys.context_length);
    words.optional("--kv-cache-dtype", keys.kv_cache_dtype.as_ref());
    words.optional("--kv-cache-memory-bytes", keys.kv_cache_memory.map(|memory| memory.0));
    if let Some(parser) = &keys.tool_call_parser {
        // Without it the parser is loaded and never asked.
        words.add(["--enable-auto-tool-choice"]);
        words.flag("--tool-call-parser", parser);
    }
    words.optional("--reasoning-parser", keys.reasoning_parser.as_ref());
    if let Some(speculative) = &keys.speculative {
        let mut config = json!({ "method": speculative.method });
        if let Some(model) = &speculative.model {
            config["model"] = json!(model);
        }
        if let Some(tokens) = speculative.draft_tokens {
            config["num_speculative_tokens"] = json!(tokens);
        }
        words.flag("--speculative-config", config);
    }
}
