//! What a process of the script came to, by its end and by what it wrote. Pure.

use super::plan::StockPlan;
use crate::artifact::{ConfigFile, ConfigName};
use crate::device;
use crate::log_line::plain;
use crate::runtime::Runtime;
use crate::shape::KernelConfig;
use crate::worker::script::{EndedScript, ScriptEnd};

/// The longest line of a log in a reason, characters.
const LONGEST_REASON: usize = 300;

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The choice.
    pub config: KernelConfig,
    /// The name of the file.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// The result for `batch_size`, or why there is none.
///
/// A file counts that reads without a fault, has that batch size alone, and is for the plan's device: its name says what
/// torch called the GPU that was timed.
pub(super) fn judge(ended: &EndedScript, plan: &StockPlan, batch_size: u32) -> Result<Outcome, String> {
    let EndedScript { how, files, log } = ended;
    if *how != ScriptEnd::Exit(0) {
        let said = last_words(log);
        return Err(if said.is_empty() { how.to_string() } else { format!("{how}: {said}") });
    }
    let mut files = files.iter();
    let (name, text) = match (files.next(), files.next()) {
        (Some(file), None) => file,
        (None, _) => return Err("it ended well and wrote no file".into()),
        (Some((first, _)), Some((second, _))) => {
            return Err(format!("it wrote `{first}` and `{second}`, where one file was expected"));
        }
    };
    let (read, _) = ConfigName::parse(name).map_err(|error| format!("it wrote `{name}`: {error}"))?;
    let device = device::file_name(&plan.device.name);
    if read.device != device {
        return Err(format!("it tuned for the device {}, and the run is for {device}", read.device));
    }
    let (file, problems) = ConfigFile::parse(text.as_bytes());
    let of_vllm = plan.target.runtime == Runtime::Vllm;
    let mut problems = problems.iter().filter(|problem| !(of_vllm && problem.is_triton_version()));
    if let Some(problem) = problems.next() {
        return Err(format!("it wrote a broken file: {problem}"));
    }
    match file.entries() {
        [(key, entry)] if *key == batch_size && entry.extra.is_empty() && entry.use_tma.is_none() => {
            Ok(Outcome { config: entry.config, file: name.clone(), text: text.clone() })
        }
        [(key, entry)] if *key == batch_size => {
            Err(format!("it wrote a config with fields of another kernel: {entry}"))
        }
        entries => {
            let keys: Vec<String> = entries.iter().map(|(key, _)| key.to_string()).collect();
            Err(format!("it wrote a file for the batch sizes {}", keys.join(", ")))
        }
    }
}

/// How the script's name for the file differs from the one under which the server looks for it, if it does.
pub(super) fn other_name(file: &str, expected: &str) -> Option<String> {
    (file != expected).then(|| {
        format!(
            "the script calls its file `{file}`, the server looks for `{expected}`: the file is named for the server; \
             where E or N differ, the script tuned another layer than the server runs"
        )
    })
}

/// The last line of a log that says something, without what moves a terminal's cursor or colours it.
pub(super) fn last_words(log: &str) -> String {
    let lines = log.split(['\n', '\r']).map(shown);
    lines.rev().find(|line| !line.is_empty()).unwrap_or_default()
}

/// A line of the script's, short and fit to be shown.
pub(super) fn shown(line: &str) -> String {
    plain(line).chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::plan::tests::{plan, vllm_plan};
    use super::*;

    const NAME: &str = "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json";
    const ENTRY: &str = r#"{"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1, "num_warps": 4, "num_stages": 2}"#;

    fn ended(how: ScriptEnd, files: &[(&str, &str)], log: &str) -> EndedScript {
        let files: BTreeMap<_, _> =
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        EndedScript { how, files, log: log.into() }
    }

    fn wrote(name: &str, text: &str) -> Result<Outcome, String> {
        judge(&ended(ScriptEnd::Exit(0), &[(name, text)], ""), &plan(&[64]), 64)
    }

    #[test]
    fn a_file_with_its_one_batch_size_is_a_result() {
        let text = format!("{{\"64\": {ENTRY}}}");
        let outcome = wrote(NAME, &text).unwrap();
        assert_eq!(outcome.config.to_string(), "16x32x64 g1 w4 s2");
        assert_eq!((outcome.file.as_str(), &outcome.text), (NAME, &text));
    }

    #[test]
    fn vllms_word_for_its_triton_is_none_against_the_file_and_sglangs_has_none() {
        let text = format!("{{\"triton_version\": \"3.8.0\", \"64\": {ENTRY}}}");
        let ended = ended(ScriptEnd::Exit(0), &[(NAME, &text)], "");
        assert_eq!(judge(&ended, &vllm_plan(&[64]), 64).unwrap().text, text);
        assert!(judge(&ended, &plan(&[64]), 64).unwrap_err().contains("triton_version"));
        let other = format!("{{\"triton\": \"3.8.0\", \"64\": {ENTRY}}}");
        let ended = self::ended(ScriptEnd::Exit(0), &[(NAME, &other)], "");
        assert!(judge(&ended, &vllm_plan(&[64]), 64).unwrap_err().contains("broken file"));
    }

    #[test]
    fn everything_else_is_none_and_says_why() {
        let h100 = NAME.replace("NVIDIA_GB10", "NVIDIA_H100");
        let two = format!("{{\"1\": {ENTRY}, \"64\": {ENTRY}}}");
        let other = format!("{{\"1\": {ENTRY}}}");
        let amd = ENTRY.replace("\"num_stages\"", "\"waves_per_eu\": 0, \"num_stages\"");
        for (name, text, why) in [
            (NAME, "{\"64\": {\"BLOCK", "a broken file"),
            (NAME, "", "a broken file"),
            (NAME, "{}", "broken file"),
            (NAME, two.as_str(), "for the batch sizes 1, 64"),
            (NAME, other.as_str(), "for the batch sizes 1"),
            (NAME, &format!("{{\"64\": {amd}}}"), "fields of another kernel"),
            (h100.as_str(), other.as_str(), "for the device NVIDIA_H100, and the run is for NVIDIA_GB10"),
            ("result.json", other.as_str(), "`result.json`"),
        ] {
            let error = wrote(name, text).unwrap_err();
            assert!(error.contains(why), "{name} {text}: {error}");
        }
        let of = |ended: EndedScript| judge(&ended, &plan(&[64]), 64).unwrap_err();
        assert_eq!(of(ended(ScriptEnd::Exit(0), &[], "")), "it ended well and wrote no file");
        let both = [("a.json", ""), ("b.json", "")];
        assert!(of(ended(ScriptEnd::Exit(0), &both, "")).contains("`a.json` and `b.json`"));
        let failed = ended(
            ScriptEnd::Exit(1),
            &[(NAME, "{}")],
            "Traceback\nModuleNotFoundError: No module named 'ray'\n\n",
        );
        assert_eq!(of(failed), "exit status: 1: ModuleNotFoundError: No module named 'ray'");
        assert_eq!(of(ended(ScriptEnd::Silent, &[], " ")), "killed, because it said nothing");
    }

    #[test]
    fn a_log_s_last_words_are_without_what_a_terminal_is_told() {
        assert_eq!(last_words("a\n\u{1b}[2m\u{1b}[36m(pid=7)\u{1b}[0m 3/40\r\n  \r"), "(pid=7) 3/40");
        assert_eq!(last_words(""), "");
        assert_eq!(last_words(&"x".repeat(900)).len(), LONGEST_REASON);
    }

    #[test]
    fn another_name_than_the_server_s_is_told() {
        assert_eq!(other_name(NAME, NAME), None);
        assert!(other_name("E=161.json", NAME).unwrap().contains("`E=161.json`"));
    }
}
