//! Which key of a recipe stands for which argument of an engine's server.

use super::kind::ServingEngine;

/// Arguments of an engine and the keys of a recipe that stand for them.
type Keys = &'static [(&'static [&'static str], &'static str)];

const SGLANG: Keys = &[
    (&["--model-path", "--model"], "id"),
    (&["--served-model-name"], "served_name"),
    (&["--tp", "--tp-size", "--tensor-parallel-size"], "tp"),
    (&["--pp", "--pp-size", "--pipeline-parallel-size"], "pp"),
    (&["--ep", "--ep-size", "--expert-parallel-size"], "ep"),
    (&["--nnodes", "--node-rank"], "tp` and `pp"),
    (&["--dist-init-addr", "--nccl-init-addr"], "rendezvous_port"),
    (&["--use-ray"], "ray"),
    (&["--host", "--port"], "port"),
    (&["--mem-fraction-static"], "memory_fraction"),
    (&["--context-length"], "context_length"),
    (&["--kv-cache-dtype"], "kv_cache_dtype"),
    (&["--tool-call-parser"], "tool_call_parser"),
    (&["--reasoning-parser"], "reasoning_parser"),
    (&["--trust-remote-code"], "trust_remote_code"),
    (&["--speculative-algorithm"], "speculative.method"),
    (&["--speculative-draft-model-path", "--speculative-draft-model"], "speculative.model"),
    (&["--speculative-num-steps"], "speculative.steps"),
    (&["--speculative-num-draft-tokens"], "speculative.draft_tokens"),
    (&["--speculative-eagle-topk"], "speculative.topk"),
];

const VLLM: Keys = &[
    (&["--model"], "id"),
    (&["--served-model-name"], "served_name"),
    (&["--tensor-parallel-size", "-tp"], "tp"),
    (&["--pipeline-parallel-size", "-pp"], "pp"),
    (&["--enable-expert-parallel", "-ep"], "ep"),
    (&["--nnodes", "--node-rank", "--headless"], "tp` and `pp"),
    (&["--master-addr", "--master-port"], "rendezvous_port"),
    (&["--distributed-executor-backend"], "ray"),
    (&["--host", "--port"], "port"),
    (&["--gpu-memory-utilization"], "memory_fraction"),
    (&["--max-model-len"], "context_length"),
    (&["--kv-cache-dtype"], "kv_cache_dtype"),
    (&["--kv-cache-memory-bytes"], "kv_cache_memory"),
    (&["--tool-call-parser", "--enable-auto-tool-choice"], "tool_call_parser"),
    (&["--reasoning-parser"], "reasoning_parser"),
    (&["--trust-remote-code"], "trust_remote_code"),
    (&["--speculative-config", "-sc"], "speculative"),
];

/// The key of a recipe that says what this word of a command line, `--name` or `--name=value`, would say.
pub(super) fn key_of(engine: ServingEngine, word: &str) -> Option<&'static str> {
    let argument = word.split('=').next().unwrap_or(word);
    let table = match engine {
        ServingEngine::Sglang => SGLANG,
        ServingEngine::Vllm => VLLM,
    };
    table.iter().find(|(names, _)| names.contains(&argument)).map(|(_, key)| *key)
}
