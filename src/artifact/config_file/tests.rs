use std::fmt::Write as _;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

/// The text of one sound entry.
const SOUND: &str = r#"{"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1, "num_warps": 4, "num_stages": 2}"#;

fn config(block_size_m: u32) -> KernelConfig {
    KernelConfig {
        block_size_m,
        block_size_n: 32,
        block_size_k: 64,
        group_size_m: 1,
        num_warps: 4,
        num_stages: 2,
    }
}

/// The problems of a text, which must have no sound entries.
fn problems(text: &str) -> Vec<Problem> {
    let (file, problems) = ConfigFile::parse(text.as_bytes());
    assert!(file.entries().is_empty(), "{text}: {file:?}");
    problems
}

/// The one problem of an entry with `field` set to `value`.
fn bad_value(field: &str, value: &str) -> String {
    let mut entry: serde_json::Value = serde_json::from_str(SOUND).unwrap();
    entry[field] = serde_json::Value::Null;
    let text = format!(r#"{{"7": {}}}"#, entry.to_string().replace("null", value));
    let problems = problems(&text);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    assert_eq!((problems[0].code(), problems[0].key()), ("bad-value", Some("7")), "{text}");
    let message = problems[0].to_string();
    assert!(message.starts_with(&format!("key \"7\": {field} is ")), "{message}");
    message
}

#[test]
fn a_sound_file_reads_in_file_order() {
    let text = format!(r#" {{"8": {SOUND}, "1": {SOUND}}} "#);
    let (file, problems) = ConfigFile::parse(text.as_bytes());
    assert_eq!(problems, []);
    let keys: Vec<u32> = file.entries().iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [8, 1]);
    assert_eq!(file.get(1), Some(&config(16).into()));
    assert_eq!(file.get(2), None);
}

#[test]
fn warps_and_stages_left_out_are_tritons_defaults() {
    let text = r#"{"1": {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 1}}"#;
    let (file, problems) = ConfigFile::parse(text.as_bytes());
    assert_eq!(problems, []);
    assert_eq!(file.get(1).unwrap().config, KernelConfig { num_stages: 3, ..config(16) });
}

#[test]
fn every_problem_names_its_key_and_field() {
    let without = |field: &str| {
        let mut entry: serde_json::Value = serde_json::from_str(SOUND).unwrap();
        entry.as_object_mut().unwrap().remove(field);
        entry.to_string()
    };
    for (text, code, key, message) in [
        ("{}".into(), "empty", None, "no entries"),
        (format!(r#"{{"x": {SOUND}}}"#), "bad-key", Some("x"), "key \"x\" is no batch size"),
        (r#"{"7": [1]}"#.into(), "not-an-entry", Some("7"), "key \"7\" holds an array"),
        (
            format!(r#"{{"7": {}}}"#, SOUND.replace('}', r#", "SPLIT_K": 1}"#)),
            "unknown-field",
            Some("7"),
            "key \"7\": no launch takes a field SPLIT_K",
        ),
        (
            format!(r#"{{"7": {}}}"#, SOUND.replace('}', r#", "num_warps": 4}"#)),
            "duplicate-field",
            Some("7"),
            "key \"7\": field num_warps is there twice",
        ),
        (
            format!(r#"{{"7": {}}}"#, without("GROUP_SIZE_M")),
            "missing-field",
            Some("7"),
            "key \"7\": GROUP_SIZE_M is missing",
        ),
        (
            format!(r#"{{"7": {}}}"#, SOUND.replace("\"num_warps\": 4", "\"num_warps\": 3")),
            "bad-value",
            Some("7"),
            "key \"7\": num_warps is 3, accepted is 1, 2, 4, 8, 16 or 32",
        ),
        ("{\n  nope".into(), "not-json", None, "line 2, column 3"),
    ] {
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        let shown = problems[0].to_string();
        assert_eq!((problems[0].code(), problems[0].key()), (code, key), "{text}: {shown}");
        assert!(shown.contains(message), "{text}: {shown}");
    }
    for field in ["BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "GROUP_SIZE_M"] {
        let text = format!(r#"{{"7": {}}}"#, without(field));
        assert_eq!(problems(&text), [Problem::MissingField { key: "7".into(), field }]);
    }
    // One entry's problem leaves the others standing.
    let (file, problems) = ConfigFile::parse(format!(r#"{{"1": null, "2": {SOUND}}}"#).as_bytes());
    assert_eq!(problems, [Problem::NotAnEntry { key: "1".into(), found: "null" }]);
    assert_eq!(file, ConfigFile::new([(2, config(16))]));
}

#[test]
fn of_a_key_or_field_given_twice_the_last_counts_as_in_python() {
    let other = SOUND.replace("\"BLOCK_SIZE_M\": 16", "\"BLOCK_SIZE_M\": 64");
    let (file, problems) =
        ConfigFile::parse(format!(r#"{{"4": {SOUND}, "1": {SOUND}, "4": {other}}}"#).as_bytes());
    assert_eq!(problems, [Problem::DuplicateKey { key: "4".into() }]);
    // In the place of the first: `dict` keeps it.
    assert_eq!(file.entries(), [(4, config(64).into()), (1, config(16).into())]);

    // An unsound last one leaves nothing.
    let (file, problems) = ConfigFile::parse(format!(r#"{{"4": {SOUND}, "4": 5}}"#).as_bytes());
    assert!(file.entries().is_empty());
    let codes: Vec<&str> = problems.iter().map(Problem::code).collect();
    assert_eq!(codes, ["duplicate-key", "not-an-entry"]);

    let twice = SOUND.replace('}', r#", "num_stages": 9}"#);
    let (file, problems) = ConfigFile::parse(format!(r#"{{"4": {twice}}}"#).as_bytes());
    assert_eq!(problems, [Problem::DuplicateField { key: "4".into(), field: "num_stages".into() }]);
    assert!(file.entries().is_empty());
}

#[test]
fn keys_are_whole_numbers_from_1_written_the_plain_way() {
    for key in ["-1", "1__0", "_1", "1.0", "1e3", "", "+", "+ 1", "4294967296", "\u{661}", "M"] {
        let found = problems(&format!(r#"{{"{key}": {SOUND}}}"#));
        assert_eq!(found, [Problem::BadKey { key: key.into() }]);
    }
    // No key of ours, and yet Python's int() takes them: the entry counts.
    for (key, used_as) in [("0", 0), ("+1", 1), ("01", 1), (" 1", 1), ("1 ", 1), ("1_0", 10)] {
        let (file, problems) = ConfigFile::parse(format!(r#"{{"{key}": {SOUND}}}"#).as_bytes());
        assert_eq!(problems, [Problem::BadKey { key: key.into() }]);
        assert_eq!(file.entries(), [(used_as, config(16).into())]);
    }
    // Two spellings of one number are one key.
    let other = SOUND.replace("\"BLOCK_SIZE_M\": 16", "\"BLOCK_SIZE_M\": 64");
    let (file, _) = ConfigFile::parse(format!(r#"{{"1": {SOUND}, "01": {other}}}"#).as_bytes());
    assert_eq!(file.entries(), [(1, config(64).into())]);
    let (file, problems) = ConfigFile::parse(format!(r#"{{"4294967295": {SOUND}}}"#).as_bytes());
    assert_eq!((file.entries().len(), problems), (1, vec![]));
}

#[test]
fn values_must_be_whole_numbers_a_launch_can_have() {
    for field in ["BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "GROUP_SIZE_M", "num_warps", "num_stages"] {
        for (value, shown) in [
            ("16.0", "is 16.0,"),
            ("1.0", "is 1.0,"),
            ("-16", "is -16,"),
            ("-0", "is -0.0,"),
            ("0", "is 0,"),
            ("1e1", "is 10.0,"),
            ("18446744073709551615", "is 18446744073709551615,"),
            ("18446744073709551616", "is 1.8446744073709552e19,"),
            ("-9223372036854775809", "is -9.223372036854776e18,"),
            ("\"16\"", "is \"16\","),
            ("null", "is null,"),
            ("true", "is true,"),
            ("[16]", "is an array,"),
            ("{\"a\": {\"b\": 1}}", "is an object,"),
        ] {
            let message = bad_value(field, value);
            assert!(message.contains(shown), "{field} {value}: {message}");
        }
    }
    for (field, refused, accepted) in [
        ("BLOCK_SIZE_M", &[8, 17, 48, 2048][..], &[16, 1024][..]),
        ("BLOCK_SIZE_N", &[8, 17, 48, 2048], &[16, 1024]),
        ("BLOCK_SIZE_K", &[8, 17, 48, 2048], &[16, 1024]),
        ("GROUP_SIZE_M", &[65_537], &[1, 3, 65_536]),
        ("num_warps", &[3, 64], &[1, 32]),
        ("num_stages", &[33], &[1, 5, 32]),
    ] {
        for value in refused {
            bad_value(field, &value.to_string());
        }
        for value in accepted {
            let mut entry: serde_json::Value = serde_json::from_str(SOUND).unwrap();
            entry[field] = (*value).into();
            let (file, problems) = ConfigFile::parse(format!(r#"{{"1": {entry}}}"#).as_bytes());
            assert_eq!((file.entries().len(), problems), (1, vec![]), "{field} {value}");
        }
    }
    for value in ["0", "1", "\"true\"", "null", "1.0"] {
        assert!(bad_value("USE_TMA", value).ends_with("accepted is true or false"));
    }
    for field in EXTRA_FIELDS {
        assert!(bad_value(field, "-1").ends_with("accepted is a whole number"));
    }
}

#[test]
fn what_is_no_object_is_told_with_its_place() {
    let nested = "[".repeat(10_000) + &"]".repeat(10_000);
    for text in ["", " ", "null", "5", "\"a\"", "[]", "true", "{", "{\"1\": ", "{} {}", "{}x", &nested, "NaN"]
    {
        let problems = problems(text);
        let [problem @ Problem::NotJson { line: 1, message, .. }] = &problems[..] else {
            panic!("{text}: {problems:?}");
        };
        assert!(!message.contains(" at line "), "{problem}");
    }
    let number = problems(r#"{"1": 1e999}"#);
    assert!(matches!(number[..], [Problem::NotJson { .. }]), "{number:?}");
}

#[test]
fn nesting_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = open.repeat(10_000) + "1" + &close.repeat(10_000);
        for text in [
            nested.clone(),
            format!(r#"{{"1": {nested}}}"#),
            format!(r#"{{"1": [{nested}]}}"#),
            format!(r#"{{"1": {{"num_warps": {nested}}}}}"#),
            format!(r#"{{"1": {{"USE_TMA": {nested}, "other": {nested}}}}}"#),
            format!(r#"{{"1": {}"#, open.repeat(10_000)),
        ] {
            assert!(!problems(&text).is_empty());
        }
    }
    let nested = "[".repeat(10_000) + &"]".repeat(10_000);
    assert!(bad_value("BLOCK_SIZE_M", &nested).contains("is an array,"));
    assert_eq!(
        problems(&format!(r#"{{"1": {nested}}}"#)),
        [Problem::NotAnEntry { key: "1".into(), found: "an array" }]
    );
}

/// Python's `json.load` takes UTF-8 without a mark only, as `open` hands it over.
#[test]
fn other_encodings_are_refused() {
    let sound = format!(r#"{{"1": {SOUND}}}"#);
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend_from_slice(sound.as_bytes());
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(sound.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    let narrow: Vec<u8> = sound.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [marked, wide, narrow, b"{\"\xff\": {}}".to_vec(), b"{\"\\ud800\": {}}".to_vec(), vec![0]] {
        let (file, problems) = ConfigFile::parse(&bytes);
        assert!(file.entries().is_empty());
        assert!(matches!(problems[..], [Problem::NotJson { .. }]), "{problems:?}");
    }
}

#[test]
fn messages_stay_short_and_on_one_line() {
    let key = format!("{}\\n\\u001b[31m", "k".repeat(100));
    let field = "f".repeat(1000);
    for text in [
        format!(r#"{{"{key}": {{}}}}"#),
        format!(r#"{{"{key}": 5, "{key}": 5}}"#),
        format!(r#"{{"{key}": {{"{field}": 1, "{field}": 1, "num_warps": "{field}"}}}}"#),
        r#"{"\u001b[31m": {"\r\n": 1, "num_warps": "\u0007"}}"#.to_owned(),
    ] {
        for problem in problems(&text) {
            let message = problem.to_string();
            assert!(message.len() < 250, "{message}");
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
}

/// What Python's `json.dump(configs, f, indent=4)` and a line feed give, fields in SGLang's order.
#[test]
fn the_layout_is_that_of_the_tuner() {
    let tuned =
        Entry { config: config(64), use_tma: Some(true), extra: vec![("waves_per_eu", 2), ("num_ctas", 1)] };
    let file = ConfigFile { entries: vec![(1024, config(128).into()), (1, config(16).into()), (96, tuned)] };
    let expected = r#"{
    "1": {
        "BLOCK_SIZE_M": 16,
        "BLOCK_SIZE_N": 32,
        "BLOCK_SIZE_K": 64,
        "GROUP_SIZE_M": 1,
        "num_warps": 4,
        "num_stages": 2
    },
    "96": {
        "BLOCK_SIZE_M": 64,
        "BLOCK_SIZE_N": 32,
        "BLOCK_SIZE_K": 64,
        "GROUP_SIZE_M": 1,
        "num_warps": 4,
        "num_stages": 2,
        "waves_per_eu": 2,
        "num_ctas": 1,
        "USE_TMA": true
    },
    "1024": {
        "BLOCK_SIZE_M": 128,
        "BLOCK_SIZE_N": 32,
        "BLOCK_SIZE_K": 64,
        "GROUP_SIZE_M": 1,
        "num_warps": 4,
        "num_stages": 2
    }
}
"#;
    assert_eq!(file.render(), expected);
    assert_eq!(ConfigFile::default().render(), "{}\n");
}

#[test]
fn a_file_on_disk_is_read_whole_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    let error = ConfigFile::read(&path).unwrap_err();
    assert!(matches!(error, ConfigFileError::Read { .. }), "{error}");
    assert!(error.to_string().contains("file.json"), "{error}");

    let file = ConfigFile::new([(1, config(16))]);
    std::fs::write(&path, file.render()).unwrap();
    assert_eq!(ConfigFile::read(&path).unwrap(), file);

    let mut text = String::from("{");
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        write!(text, "{}\"{key}\": {SOUND}", if text.len() > 1 { ", " } else { "" }).unwrap();
    }
    std::fs::write(&path, text + "}").unwrap();
    let message = ConfigFile::read(&path).unwrap_err().to_string();
    assert!(message.contains("key \"e\"") && message.ends_with("; and 2 more"), "{message}");
    assert!(ConfigFile::read(folder.path()).is_err());
}

#[test]
fn a_file_over_a_mebibyte_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    let mut handle = std::fs::File::create(&path).unwrap();
    handle.write_all(b"{}").unwrap();
    // Sparse: nobody could read it to the end in the time a test has.
    let bytes = 1 << 40;
    handle.set_len(bytes).unwrap();
    let error = ConfigFile::read(&path).unwrap_err();
    let ConfigFileError::Problems { problems, .. } = &error else { panic!("{error}") };
    assert_eq!(*problems, [Problem::TooLarge { bytes, limit: MAX_BYTES }]);
    assert_eq!((problems[0].code(), problems[0].key()), ("too-large", None));

    let mut whole = b"{}".to_vec();
    whole.resize(usize::try_from(MAX_BYTES).unwrap(), b' ');
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(ConfigFile::read_bytes(&path).unwrap().len(), whole.len());
    whole.push(b' ');
    std::fs::write(&path, &whole).unwrap();
    assert!(ConfigFile::read_bytes(&path).is_err());
}

#[test]
fn as_many_entries_as_a_file_can_hold_are_read_in_no_time() {
    let mut text = String::from("{\"1\": {}");
    for key in 2.. {
        if text.len() as u64 > MAX_BYTES - 20 {
            break;
        }
        write!(text, ",\"{key}\":{{}}").unwrap();
    }
    let (file, problems) = ConfigFile::parse((text + "}").as_bytes());
    assert!(file.entries().is_empty());
    assert!(problems.len() > 100_000);
}

/// A device has no length to go by, and a pipe would be waited for.
#[cfg(target_os = "linux")]
#[test]
fn an_endless_file_is_refused() {
    let error = ConfigFile::read(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("it is no regular file"), "{error}");
}

fn any_config() -> impl Strategy<Value = KernelConfig> {
    let block = || (4u32..=10).prop_map(|log| 1 << log);
    (block(), block(), block(), 1u32..=65_536, 0u32..=5, 1u32..=32).prop_map(
        |(m, n, k, group, warps, stages)| KernelConfig {
            block_size_m: m,
            block_size_n: n,
            block_size_k: k,
            group_size_m: group,
            num_warps: 1 << warps,
            num_stages: stages,
        },
    )
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let extra = proptest::sample::subsequence(EXTRA_FIELDS.to_vec(), 0..=EXTRA_FIELDS.len()).prop_shuffle();
    let values = proptest::collection::vec(any::<u64>(), EXTRA_FIELDS.len());
    (any_config(), any::<Option<bool>>(), extra, values).prop_map(|(config, use_tma, extra, values)| Entry {
        config,
        use_tma,
        extra: extra.into_iter().zip(values).collect(),
    })
}

/// Text that comes close to a config file.
fn nearly() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"1\"",
        "\"64\"",
        "\"x\"",
        "1",
        "16",
        "-1",
        "1.0",
        "true",
        "null",
        "\"BLOCK_SIZE_M\"",
        "\"num_warps\"",
        "\"USE_TMA\"",
        "\"kpack\"",
        SOUND,
        " ",
        "\n",
        "\\",
        "\"",
    ]);
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        entries in proptest::collection::btree_map(1u32.., any_entry(), 1..12),
    ) {
        let file = ConfigFile::from_entries(entries);
        let text = file.render();
        let (read, problems) = ConfigFile::parse(text.as_bytes());
        prop_assert_eq!(problems, vec![]);
        prop_assert_eq!(&read, &file);
        prop_assert_eq!(read.render(), text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (file, problems) = ConfigFile::parse(&bytes);
        prop_assert!(!problems.is_empty() || !file.entries().is_empty());
    }

    #[test]
    fn any_text_is_read_or_refused(text in nearly()) {
        let (file, problems) = ConfigFile::parse(text.as_bytes());
        prop_assert!(!problems.is_empty() || !file.entries().is_empty());
        for problem in problems {
            prop_assert!(!problem.to_string().is_empty());
        }
    }

    /// `configs[min(configs.keys(), key=lambda x: abs(x - M))]`, keys in any order.
    #[test]
    fn the_nearest_key_is_pythons_min(
        keys in proptest::collection::hash_set(prop_oneof![1u32..40, any::<u32>()], 0..12)
            .prop_map(|keys| keys.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        tokens in prop_oneof![0u32..45, any::<u32>()],
    ) {
        let entries = keys.iter().map(|&key| (key, config(16).into())).collect();
        let file = ConfigFile { entries };
        let mut best: Option<(u64, u32)> = None;
        for &key in &keys {
            let distance = (i64::from(key) - i64::from(tokens)).unsigned_abs();
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, key));
            }
        }
        prop_assert_eq!(file.nearest(tokens).map(|(key, _)| key), best.map(|(_, key)| key));
    }
}

#[test]
fn of_two_equally_near_keys_the_first_in_the_file_wins() {
    let text = |first, second| format!(r#"{{"{first}": {SOUND}, "{second}": {SOUND}}}"#);
    for (first, second) in [(2, 4), (4, 2)] {
        let (file, _) = ConfigFile::parse(text(first, second).as_bytes());
        assert_eq!(file.nearest(3).unwrap().0, first);
    }
}

proptest! {
    /// Steps are the look-up at every number of tokens at once.
    #[test]
    fn steps_say_what_nearest_says(
        keys in proptest::collection::hash_set(0u32..50, 1..8)
            .prop_map(|keys| keys.into_iter().collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let entries = keys.iter().map(|&key| (key, config(16).into())).collect();
        let file = ConfigFile { entries };
        let steps = file.steps();
        prop_assert_eq!(steps[0].0, 1);
        for tokens in 1..70 {
            let (_, key, _) = steps.iter().rev().find(|(from, ..)| *from <= tokens).unwrap();
            prop_assert_eq!(*key, file.nearest(tokens).unwrap().0, "at {}", tokens);
        }
    }
}
