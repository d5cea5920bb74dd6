//! How far an engine has come, by the lines that it logs while it comes up.
//!
//! A line is no proof: it says where a process is, or hangs. Whether clients are served is asked of the server. The words
//! are those of SGLang 0.5.4.post2 to 0.5.23 and of vLLM 0.10.0 to 0.33.0, read in their wheels.

#[cfg(test)]
mod tests;

use super::kind::ServingEngine;

/// What an engine goes through, in its order. Not every start has all: none captures graphs with `--disable-cuda-graph`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Milestone {
    /// The ranks meet.
    Distributed,
    /// Weights are loaded.
    Weights,
    /// Memory is set aside for the cache.
    Cache,
    /// CUDA graphs are captured.
    Graphs,
    /// The server listens; it may still warm up.
    Listening,
    /// It says that it serves.
    Ready,
}

impl Milestone {
    /// In a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Milestone::Distributed => "distributed",
            Milestone::Weights => "weights",
            Milestone::Cache => "cache",
            Milestone::Graphs => "graphs",
            Milestone::Listening => "listening",
            Milestone::Ready => "ready",
        }
    }
}

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// What has begun.
    pub(crate) milestone: Milestone,
    /// How much of it is done, 0 to 1, where the line says. It may fall: a draft model's weights and graphs come after
    /// the model's own.
    pub(crate) fraction: Option<f64>,
}

/// What `line` tells of `engine`. Of states that overwrite one another on a terminal, divided by `\r`, the last counts.
pub(crate) fn milestone(engine: ServingEngine, line: &str) -> Option<Reading> {
    let marks = match engine {
        ServingEngine::Sglang => SGLANG,
        ServingEngine::Vllm => VLLM,
    };
    line.rsplit('\r').find_map(|state| BARS.iter().chain(marks).find_map(|mark| mark.read(state)))
}

/// Words by which a milestone is known.
struct Mark {
    milestone: Milestone,
    /// All of them, in this order.
    words: &'static [&'static str],
    told: Told,
}

/// What a line says beyond that something has begun.
enum Told {
    /// Nothing.
    Begun,
    /// That it is over.
    Done,
    /// How much is done, in percent behind the words: a bar.
    Percent,
}

const fn begun(milestone: Milestone, words: &'static [&'static str]) -> Mark {
    Mark { milestone, words, told: Told::Begun }
}

const fn done(milestone: Milestone, words: &'static [&'static str]) -> Mark {
    Mark { milestone, words, told: Told::Done }
}

const fn bar(milestone: Milestone, words: &'static [&'static str]) -> Mark {
    Mark { milestone, words, told: Told::Percent }
}

/// Bars that both engines have, by the same loaders: weight_utils.py and the graph runners of all releases read.
const BARS: &[Mark] = &[
    // safetensors, pt, np_cache; `Loading safetensors checkpoint shards:  12% Completed | 1/8 [00:01<00:09,  1.33s/it]`.
    bar(Milestone::Weights, &["Loading ", " checkpoint shards:"]),
    // SGLang in all; vLLM 0.33.
    bar(Milestone::Weights, &["Multi-thread loading shards:"]),
    // Run:ai streamer in all; Fastsafetensor in vLLM 0.10 and SGLang 0.5.10; InstantTensor in SGLang 0.5.23 and vLLM 0.33.
    bar(Milestone::Weights, &["Loading safetensors using ", ":"]),
    // SGLang: `Capturing batches (bs=4 avail_mem=11.70 GB):  30%|███       | 7/23`.
    bar(Milestone::Graphs, &["Capturing batches (", "):"]),
    // vLLM 0.10 `CUDA graph shapes`; later `CUDA graphs (decode, FULL)`, and a draft's `Capturing eagle decode CUDA graphs`.
    bar(Milestone::Graphs, &["Capturing ", "CUDA graph", ":"]),
];

const SGLANG: &[Mark] = &[
    begun(Milestone::Distributed, &["Init torch distributed begin"]),
    done(Milestone::Distributed, &["Init torch distributed ends"]),
    // From 0.5.21 on.
    begun(Milestone::Distributed, &["Init parallel begin"]),
    done(Milestone::Distributed, &["Init parallel ends"]),
    begun(Milestone::Weights, &["Load weight begin"]),
    done(Milestone::Weights, &["Load weight end"]),
    begun(Milestone::Cache, &["KV Cache is allocated"]),
    // 0.5.23, where the cache's size is decided after graphs are captured.
    begun(Milestone::Cache, &["KV Cache VA upper bound"]),
    done(Milestone::Cache, &["Memory pool end"]),
    // `Capture cuda graph begin.` and `Capture draft cuda graph begin.` to 0.5.12, `Capture target decode CUDA graph begin.`
    // in 0.5.16 and later.
    begun(Milestone::Graphs, &["Capture ", "graph begin"]),
    done(Milestone::Graphs, &["Capture ", "graph end"]),
    // uvicorn.
    begun(Milestone::Listening, &["Application startup complete."]),
    begun(Milestone::Listening, &["Uvicorn running on "]),
    begun(Milestone::Ready, &["The server is fired up and ready to roll!"]),
];

const VLLM: &[Mark] = &[
    // Said at this level from some release after 0.10.0 on; in 0.20.2 and 0.33.0.
    begun(Milestone::Distributed, &["world_size=", "distributed_init_method="]),
    done(Milestone::Distributed, &["rank ", " in world size ", " is assigned as "]),
    begun(Milestone::Weights, &["Starting to load model "]),
    done(Milestone::Weights, &["Loading weights took "]),
    done(Milestone::Weights, &["Model loading took "]),
    begun(Milestone::Cache, &["Available KV cache memory: "]),
    done(Milestone::Cache, &["KV cache size: ", " tokens"]),
    done(Milestone::Graphs, &["Graph capturing finished in "]),
    // `Starting vLLM API server 0 on` in 0.10, `Starting vLLM server on` in 0.20.2 and later. It hands uvicorn its own
    // socket, so that uvicorn names no address; once that is up, requests are taken.
    begun(Milestone::Listening, &["Starting vLLM ", "server "]),
    begun(Milestone::Ready, &["Application startup complete."]),
];

impl Mark {
    fn read(&self, state: &str) -> Option<Reading> {
        let mut rest = state;
        for words in self.words {
            rest = &rest[rest.find(words)? + words.len()..];
        }
        let fraction = match self.told {
            Told::Begun => None,
            Told::Done => Some(1.0),
            Told::Percent => percent(rest),
        };
        Some(Reading { milestone: self.milestone, fraction })
    }
}

/// The first percentage in a bar, as a part of one; none where its length is not known.
fn percent(bar: &str) -> Option<f64> {
    let (before, _) = bar.split_once('%')?;
    let percent: f64 = before.trim().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}
