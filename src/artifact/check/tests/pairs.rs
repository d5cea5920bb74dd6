//! Up and down looked up together: which entries and which batch sizes, and what then runs.

use super::*;

fn down(up: Option<ConfigFile>, file: &ConfigFile) -> Case<'static> {
    Case { text: file.render(), sibling: up, ..Case::named(GLM_DOWN) }
}

/// 18 entries of one block, but for these.
fn except(changed: &[(u32, u32)]) -> ConfigFile {
    let block = |key| changed.iter().find(|(other, _)| *other == key).map_or(16, |(_, block)| *block);
    full(|key| config(block(key), 32, 64, 4, 2))
}

#[test]
fn each_stretch_is_told_at_the_entry_it_concerns() {
    let case = down(Some(except(&[])), &except(&[(8, 32), (64, 32), (96, 64)]));
    let found = case.found(SGLANG_054, "block-size-m");
    let told: Vec<(&str, &str)> = found
        .iter()
        .map(|finding| (finding.key.as_deref().unwrap(), finding.message.split(" BLOCK").next().unwrap()))
        .collect();
    assert_eq!(told, [("8", "at M=7 to 12"), ("64", "at M=57 to 80"), ("96", "at M=81 to 112")]);
}

#[test]
fn the_largest_batch_is_not_8192() {
    let up = blocks(&[(4096, 16), (32_768, 64)]);
    let case = down(Some(up), &blocks(&[(4096, 16)]));
    let found = case.found(SGLANG_054, "block-size-m");
    assert_eq!(found.len(), 1);
    assert!(found[0].message.starts_with("at M=18433 and above "), "{}", found[0].message);
}

/// 0.5.23 gives the down entry the up file's BLOCK_SIZE_M: that is what must fit.
#[test]
fn what_an_override_makes_of_an_entry_must_fit() {
    let narrow = full(|_| config(16, 256, 128, 4, 3));
    let up = |block| full(|_| config(block, 32, 64, 4, 2));
    let case = down(Some(up(256)), &narrow);
    let found = case.found(SGLANG_0523, "out-of-resources");
    assert_eq!(found[0].severity, Severity::Crash);
    let message = &found[0].message;
    assert!(message.contains("it runs as 256x256x128 g1 w4 s3, which takes 131072 bytes"), "{message}");
    assert_eq!(case.found(SGLANG_054, "out-of-resources"), []);
    assert_eq!(down(Some(up(32)), &narrow).found(SGLANG_0523, "out-of-resources"), []);
}

#[test]
fn a_lonely_down_file_is_held_against_the_default() {
    // 0.5.4.post2: 64 rows up to 160 tokens, the experts, and 128 above; 0.5.23 on a GB10: 32 and 64.
    let default = |first, then| full(|key| config(if key > 160 { then } else { first }, 32, 64, 4, 2));
    for (runtime, [first, then], severity) in
        [(SGLANG_054, [64, 128], Severity::Crash), (SGLANG_0523, [32, 64], Severity::Ignored)]
    {
        // 128 is nearest up to 192, where the default has already changed.
        let found = down(None, &default(first, then)).found(runtime, "block-size-m");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].severity, found[0].key.as_deref()), (severity, Some("128")));
        assert!(found[0].message.starts_with("at M=161 to 192 BLOCK_SIZE_M"), "{}", found[0].message);
    }
    // No runtime or no device, no default.
    let unknown = GLM_DOWN.replace("NVIDIA_GB10", "NVIDIA_A100-SXM4-80GB");
    for (name, runtime) in [(GLM_DOWN, None), (unknown.as_str(), SGLANG_054)] {
        let case = Case { text: except(&[]).render(), ..Case::named(name) };
        assert_eq!(case.found(runtime, "no-up-file")[0].severity, Severity::Warning);
        assert_eq!(case.found(runtime, "block-size-m"), []);
    }
}

/// Which entry is nearest is not known where one is lost, and the lost one fails the file by itself.
#[test]
fn a_file_that_lost_an_entry_is_not_compared() {
    let text = except(&[(64, 32)]).render().replacen("\"BLOCK_SIZE_M\": 32", "\"BLOCK_SIZE_M\": 33", 1);
    let case = Case { text, sibling: Some(blocks(&[(1, 32)])), ..Case::named(GLM_DOWN) };
    assert_eq!(case.found(SGLANG_054, "block-size-m"), []);
    assert!(!case.report(SGLANG_054).passes());
}
