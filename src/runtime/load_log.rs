//! What a runtime's log says of the config files it looked for.
//!
//! Read in the wheels of SGLang 0.5.4.post2, 0.5.10, 0.5.17 and 0.5.23 (`get_moe_configs` of
//! `fused_moe_triton_config.py`) and of vLLM 0.11.2 and 0.33.0 (`get_moe_configs` of `fused_moe.py`). Both keep what they
//! found for as long as they run, so that each process says it once a file.
//!
//! Who says it. SGLang: every rank, in a process of its own. vLLM 0.11.2: every rank. vLLM 0.33.0: that a file was
//! loaded the first rank of all nodes alone (`info_once(scope="global")`), that there was none the first of each node
//! (`warning_once`, whose scope is `local`). Neither says at level INFO which file it is where its log begins at
//! WARNING.

/// A line of a log that tells of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigLine {
    /// Who says so, as the line's beginning has it: `TP1`, `Worker_TP1`; none where only one process could.
    pub(crate) rank: Option<String>,
    /// What.
    pub(crate) look_up: LookUp,
}

/// What came of a look-up. Paths are the runtime's, in its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// The file is used.
    Loaded {
        /// The file.
        path: String,
    },
    /// SGLang: the file is not there, and that of another Triton is used.
    OfAnotherTriton {
        /// The file that is not there.
        wanted: String,
        /// The one that is used.
        used: String,
    },
    /// SGLang since 0.5.10: the file of the down projection is not there, and something else is used in its place.
    WithoutDown {
        /// The file that is not there.
        wanted: String,
    },
    /// No file is there; the runtime's own default is used.
    Default {
        /// The files that are not there: vLLM looks in two folders.
        wanted: Vec<String>,
    },
    /// SGLang with deterministic inference: no file is looked for.
    NotLookedFor,
}

/// Words of which each of these lines has one, for whoever looks through a log that is too long to be brought here.
pub(crate) const CONFIG_LINE_MARKS: [&str; 4] =
    ["MoE kernel config", "Down MoE config file not found", " for MoE layer.", "Using default MoE config."];

impl ConfigLine {
    /// What `line` tells, if it tells of a look-up.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let look_up = look_up(line)?;
        let rank = sglang_rank(line).map(str::to_owned).or_else(|| vllm_process(line));
        Some(Self { rank, look_up })
    }
}

fn look_up(line: &str) -> Option<LookUp> {
    let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
    let path_after = |words: &str| after(words).and_then(path).map(str::to_owned);
    let not_found = || path_after("onfig file not found at ");
    if let Some(path) = path_after("Using MoE kernel config from ") {
        return Some(LookUp::Loaded { path });
    }
    if let Some(path) = path_after("Using configuration from ").filter(|_| line.contains(" for MoE layer.")) {
        return Some(LookUp::Loaded { path });
    }
    if line.contains("Fallback to triton version ") {
        let used = path_after("use MoE kernel config from ")?;
        return Some(LookUp::OfAnotherTriton { wanted: not_found()?, used });
    }
    if line.contains("Using MoE kernel config with down_moe=False.")
        || line.contains("Down MoE config file not found at ")
    {
        return Some(LookUp::WithoutDown { wanted: not_found()? });
    }
    if line.contains("Using default MoE kernel config.") || line.contains("Using default MoE config.") {
        let wanted = paths(after("Config file not found at ")?);
        return (!wanted.is_empty()).then_some(LookUp::Default { wanted });
    }
    let deterministic = "Deterministic inference is enabled, using default MoE kernel config.";
    line.contains(deterministic).then_some(LookUp::NotLookedFor)
}

/// The config file that `text` begins with. Its name may have spaces and commas in it (`block_shape=[128, 128]`).
fn path(text: &str) -> Option<&str> {
    const EXTENSION: &str = ".json";
    let ends = text.match_indices(EXTENSION).map(|(at, _)| at + EXTENSION.len());
    let end = ends.into_iter().find(|end| !text[*end..].starts_with('/'))?;
    Some(&text[..end])
}

/// All of them, as Python writes a list, or with commas between.
fn paths(mut text: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches(['[', '\'', '"', ',', ' ']);
        let Some(path) = text.starts_with('/').then(|| path(text)).flatten() else { return found };
        found.push(path.to_owned());
        text = text[path.len()..].trim_start_matches(['\'', '"']);
    }
}

/// The rank in the beginning of a line of SGLang, `[2026-11-30 12:00:00 DP0 TP1] `: any line's, since a rank that says
/// nothing of a file must be known too. None where there is one rank.
pub(crate) fn sglang_rank(line: &str) -> Option<&str> {
    let (head, _) = line.strip_prefix('[')?.split_once(']')?;
    // The date, and the time.
    let mut parts = head.splitn(3, ' ');
    let (date, time, rank) = (parts.next()?, parts.next()?, parts.next()?);
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.".contains(&byte));
    let numbered = |word: &str| {
        let kind = word.trim_end_matches(|c: char| c.is_ascii_digit());
        kind.len() < word.len() && matches!(kind, "DP" | "PP" | "ATTN_CP" | "MOE_DP" | "TP" | "EP")
    };
    (numeric(date) && numeric(time) && rank.split(' ').all(numbered)).then_some(rank)
}

/// The process in the beginning of a line of vLLM or Ray, which may be coloured: `Worker_TP1` of `(Worker_TP1 pid=12) `,
/// and `Ray ip=10.0.0.2` of `(Ray pid=12, ip=10.0.0.2) `, because Ray brings the lines of other nodes here.
fn vllm_process(line: &str) -> Option<String> {
    let (before, rest) = line.split_once('(')?;
    let (inside, _) = rest.split_once(')')?;
    let (name, pid) = inside.split_once(" pid=")?;
    let of_node = pid.split_once(", ip=").map(|(_, address)| format!("{name} ip={address}"));
    // What stands in a message is no beginning.
    (!before.contains(' ')).then(|| of_node.unwrap_or_else(|| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/opt/site-packages/sglang/srt/layers/moe/fused_moe_triton/configs";
    const NAME: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128].json";

    fn parse(line: &str) -> (Option<String>, LookUp) {
        let found = ConfigLine::parse(line).unwrap_or_else(|| panic!("{line}"));
        // Whoever looks for the marks finds it.
        assert!(CONFIG_LINE_MARKS.iter().any(|mark| line.contains(mark)), "{line}");
        (found.rank, found.look_up)
    }

    #[test]
    fn sglang_says_what_it_loaded_on_each_rank() {
        let path = format!("{DIR}/triton_3_5_0/{NAME}");
        for (head, rank) in [
            ("[2026-11-30 12:00:00]", None),
            ("[2026-11-30 12:00:00 TP1]", Some("TP1")),
            (
                "[2026-11-30 12:00:00.123 DP0 PP1 ATTN_CP0 MOE_DP0 TP3 EP3]",
                Some("DP0 PP1 ATTN_CP0 MOE_DP0 TP3 EP3"),
            ),
        ] {
            let found = parse(&format!("{head} Using MoE kernel config from {path}."));
            assert_eq!(found, (rank.map(str::to_owned), LookUp::Loaded { path: path.clone() }));
        }
        // A folder may be called anything.
        let odd = format!("/a.json/configs/triton_3_5_0/{NAME}");
        let found = parse(&format!("Using MoE kernel config from {odd}."));
        assert_eq!(found, (None, LookUp::Loaded { path: odd }));
    }

    #[test]
    fn sglang_says_what_it_uses_instead() {
        let wanted = format!("{DIR}/triton_3_5_0/{NAME}");
        let used = format!("{DIR}/triton_3_4_0/{NAME}");
        let advice = "you can create them with https://github.com/sgl-project/sglang/tree/main/benchmark/kernels/\
                      fused_moe_triton";
        let rank = || Some("TP0".to_owned());
        let line = |text: String| parse(&format!("[2026-11-30 12:00:00 TP0] {text}"));
        assert_eq!(
            line(format!(
                "Config file not found at {wanted}. Fallback to triton version 3.4.0 and use MoE kernel config from \
                 {used}. Performance might be sub-optimal!"
            )),
            (rank(), LookUp::OfAnotherTriton { wanted: wanted.clone(), used })
        );
        assert_eq!(
            line(format!(
                "Using default MoE kernel config. Performance might be sub-optimal! Config file not found at {wanted}, \
                 {advice}"
            )),
            (rank(), LookUp::Default { wanted: vec![wanted] })
        );
        assert_eq!(
            line("Deterministic inference is enabled, using default MoE kernel config.".into()),
            (rank(), LookUp::NotLookedFor)
        );
        let down = format!("{DIR}/triton_3_5_0/E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json");
        // 0.5.10, and 0.5.17 to 0.5.23.
        for text in [
            format!(
                "Using MoE kernel config with down_moe=False. Performance might be sub-optimal! Config file not found \
                 at {down}, {advice}"
            ),
            format!(
                "Down MoE config file not found at {down}; reusing the tuned up-projection config without TMA. \
                 Performance might be sub-optimal."
            ),
        ] {
            assert_eq!(line(text), (rank(), LookUp::WithoutDown { wanted: down.clone() }));
        }
    }

    #[test]
    fn vllm_says_it_in_its_words() {
        let (tuned, own) =
            ("/srv/tuned/E=8,N=64,device_name=a,block_shape=[128,128].json", "/opt/vllm/E=8,N=64.json");
        for head in [
            "(Worker_TP0 pid=12) INFO 11-30 12:00:00 [fused_moe.py:875] ",
            "\u{1b}[0;36m(Worker_TP0 pid=12)\u{1b}[0;0m \u{1b}[32mINFO\u{1b}[0m 11-30 12:00:00 [fused_moe.py:1152] ",
        ] {
            let found = parse(&format!("{head}Using configuration from {tuned} for MoE layer."));
            assert_eq!(found, (Some("Worker_TP0".into()), LookUp::Loaded { path: tuned.into() }));
        }
        let found = parse(&format!("(Ray pid=7, ip=10.0.0.2) Using configuration from {own} for MoE layer."));
        assert_eq!(found.0.as_deref(), Some("Ray ip=10.0.0.2"));
        // Before 0.10, 0.11.2 and 0.33.0.
        for (said, wanted) in [
            (own.to_owned(), vec![own]),
            (format!("['{tuned}', '{own}']"), vec![tuned, own]),
            (format!("{tuned}, {own}"), vec![tuned, own]),
        ] {
            let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            let line = format!(
                "WARNING 11-30 12:00:00 [fused_moe.py:887] Using default MoE config. Performance might be sub-optimal! \
                 Config file not found at {said}"
            );
            assert_eq!(parse(&line), (None, LookUp::Default { wanted }));
        }
    }

    #[test]
    fn other_lines_tell_nothing() {
        for line in [
            "",
            "[2026-11-30 12:00:00 TP0] Load weight begin. avail mem=110.00 GB",
            "Using configuration from /etc/x.json",
            "Using MoE kernel config from",
            "Using default MoE kernel config. Performance might be sub-optimal! Config file not found at ",
            "Using default MoE config. Performance might be sub-optimal! Config file not found at nowhere",
            "(Worker_TP0 pid=12) Using FlashInfer MoE FP8 kernels for Fp8MoEMethod.",
        ] {
            assert_eq!(ConfigLine::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_rank_stands_in_the_beginning_alone() {
        assert_eq!(sglang_rank("[2026-11-30 12:00:00 TP1] Load weight begin."), Some("TP1"));
        for line in [
            "[2026-11-30 12:00:00] TP1",
            "[2026-11-30 12:00:00 DP_CONTROLLER] x",
            "[TP1 x y] z",
            "[2026-11-30 12:00:00 TP] x",
            "[2026-11-30 12:00:00 TP1",
            "x [2026-11-30 12:00:00 TP1] y",
        ] {
            assert_eq!(sglang_rank(line), None, "{line}");
        }
    }
}
