//! SGLang's server. Every name in full: an abbreviation such as `--tp` is argparse's, and the next option that begins
//! so breaks it, as `--pp` is broken in every release (option tables of the wheels 0.5.4.post2 to 0.5.23).

use super::{Process, Words};

/// The port at which ranks meet unless told: what the guides for these machines take.
const RENDEZVOUS_PORT: u16 = 50000;

pub(super) fn command(process: &Process<'_>, words: &mut Words) {
    let Process { recipe, on, head, rank, nodes } = process;
    let keys = &recipe.keys;
    let split = recipe.split();
    words.0.push(on.python());
    words.add(["-m", "sglang.launch_server"]);
    words.flag("--model-path", &recipe.model);
    words.optional("--served-model-name", keys.served_name.as_ref());
    words.flag("--tp-size", split.tp);
    words.above_one("--pp-size", split.pp);
    words.above_one("--ep-size", split.ep);
    if *nodes > 1 {
        words.flag("--nnodes", nodes);
        match keys.ray {
            // Its ranks are actors, and find one another by Ray.
            Some(_) => words.add(["--use-ray"]),
            None => {
                words.flag("--node-rank", rank);
                let port = keys.rendezvous_port.unwrap_or(RENDEZVOUS_PORT);
                words.flag("--dist-init-addr", head.socket(port));
            }
        }
    }
    words.flag("--host", "0.0.0.0");
    words.flag("--port", recipe.port());
    words.switch("--trust-remote-code", keys.trust_remote_code);
    words.optional("--mem-fraction-static", keys.memory_fraction);
    words.optional("--context-length", keys.context_length);
    words.optional("--kv-cache-dtype", keys.kv_cache_dtype.as_ref());
    words.optional("--tool-call-parser", keys.tool_call_parser.as_ref());
    words.optional("--reasoning-parser", keys.reasoning_parser.as_ref());
    if let Some(speculative) = &keys.speculative {
        words.flag("--speculative-algorithm", &speculative.method);
        words.optional("--speculative-draft-model-path", speculative.model.as_ref());
        words.optional("--speculative-num-steps", speculative.steps);
        words.optional("--speculative-num-draft-tokens", speculative.draft_tokens);
        words.optional("--speculative-eagle-topk", speculative.topk);
    }
}
