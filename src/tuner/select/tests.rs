use super::*;
use crate::artifact::Evidence;
use crate::kernel::space;
use crate::kernel::space::STANDARD_BATCH_SIZES;
use crate::runtime::{Runtime, Target};
use crate::shape::{BlockShape, Dtype, MoeShape, Quantization};
use crate::tuner::plan::{PlannedDevice, PlannedModel};

fn plan(shape: MoeShape, device: &Device, runtime: Runtime, policy: Policy, batch_sizes: &[u32]) -> Plan {
    Plan {
        model: PlannedModel { name: "zai-org/GLM-4.7-FP8".into(), architecture: None, tp: 4, ep: 1 },
        shape,
        device: PlannedDevice {
            id: device.id.clone(),
            name: device.name.clone(),
            shared_memory_per_block: device.shared_memory_per_block,
        },
        target: Target::of(runtime),
        batch_sizes: batch_sizes.to_vec(),
        policy,
        evidence: Evidence::Predicted,
        strategy: None,
        incumbents: Vec::new(),
        image: None,
    }
}

fn glm() -> MoeShape {
    MoeShape::glm(Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) }, 0)
}

/// GLM on a GB10 under 0.5.4.post2, the runtime's defaults kept where they work.
fn glm_plan(batch_sizes: &[u32]) -> Plan {
    plan(glm(), &gb10(), Runtime::Sglang054, Policy::RuntimeDefault, batch_sizes)
}

fn gb10() -> Device {
    Device::find("gb10").unwrap()
}

fn select(plan: &Plan, findings: &KernelFindings) -> Vec<Selected> {
    Selector::new(plan, &Device::find(&plan.device.id).unwrap()).select(findings).unwrap()
}

/// What must hold of every selection.
fn holds(plan: &Plan, findings: &KernelFindings, selected: &[Selected]) {
    let limit = plan.device.shared_memory_per_block;
    let keys: Vec<u32> = selected.iter().map(|entry| entry.batch_size).collect();
    assert_eq!(keys, plan.batch_sizes);
    for entry in selected {
        let m = entry.batch_size;
        let default = plan.target.runtime.default_config(&plan.shape, m, limit);
        assert_eq!(entry.up.config.block_size_m, entry.down.config.block_size_m, "{m}");
        for role in Role::BOTH {
            let choice = entry.role(role);
            let tile = choice.config.tile();
            assert!(shared_memory::required_bytes(&tile, &plan.shape.quantization) <= limit, "{m} {role}");
            assert!(!findings.rejected.contains_key(&(role, tile)), "{m} {role}");
            match choice.source {
                Source::RuntimeDefault => {
                    assert_eq!((choice.config, &choice.default_replaced), (default, &None), "{m} {role}");
                }
                Source::Tuned | Source::Stock => panic!("nothing was measured"),
                Source::BestPredicted => {
                    assert!(choice.predicted_us.is_some(), "{m} {role}");
                    let told = choice.default_replaced.is_some();
                    assert_eq!(told, plan.policy == Policy::RuntimeDefault, "{m} {role}");
                }
            }
        }
    }
}

/// Every tile of the space, for one role.
fn every_tile(plan: &Plan, role: Role) -> impl Iterator<Item = (Role, Tile)> {
    space::tiles(&space::configs(&plan.shape.quantization)).into_iter().map(move |tile| (role, tile))
}

fn reject(tiles: impl IntoIterator<Item = (Role, Tile)>) -> KernelFindings {
    let rejected = tiles.into_iter().map(|kernel| (kernel, "crashes the compiler".to_owned())).collect();
    KernelFindings { rejected, ..KernelFindings::default() }
}

#[test]
fn glm_keeps_the_default_up_to_its_expert_count_and_not_above() {
    let plan = glm_plan(&STANDARD_BATCH_SIZES);
    let selected = select(&plan, &KernelFindings::default());
    holds(&plan, &KernelFindings::default(), &selected);
    for entry in &selected {
        for role in Role::BOTH {
            let choice = entry.role(role);
            if entry.batch_size <= 160 {
                assert_eq!(choice.source, Source::RuntimeDefault);
                assert_eq!(choice.config.to_string(), "64x128x128 g1 w4 s4");
            } else {
                assert_eq!(choice.source, Source::BestPredicted);
                assert_eq!(
                    choice.default_replaced.as_deref().unwrap(),
                    "the runtime's default 128x256x128 g32 w8 s4 needs 147456 bytes of shared memory, the \
                     device has 101376"
                );
            }
        }
    }
}

#[test]
fn the_border_is_the_expert_count_itself() {
    let plan = glm_plan(&[160, 161]);
    let selected = select(&plan, &KernelFindings::default());
    let sources: Vec<Source> = selected.iter().map(|entry| entry.up.source).collect();
    assert_eq!(sources, [Source::RuntimeDefault, Source::BestPredicted]);
}

#[test]
fn a_device_that_holds_the_defaults_keeps_all_of_them() {
    let h200 = Device::find("h200").unwrap();
    assert_eq!(h200.shared_memory_per_block, 232_448);
    for runtime in [Runtime::Sglang054, Runtime::Sglang0523] {
        let plan = plan(glm(), &h200, runtime, Policy::RuntimeDefault, &STANDARD_BATCH_SIZES);
        let selected = select(&plan, &KernelFindings::default());
        holds(&plan, &KernelFindings::default(), &selected);
        for entry in &selected {
            assert_eq!(
                (entry.up.source, entry.down.source),
                (Source::RuntimeDefault, Source::RuntimeDefault)
            );
        }
    }
}

#[test]
fn the_newer_runtimes_small_defaults_fit_a_gb10() {
    let plan = plan(glm(), &gb10(), Runtime::Sglang0523, Policy::RuntimeDefault, &[160, 161]);
    let selected = select(&plan, &KernelFindings::default());
    holds(&plan, &KernelFindings::default(), &selected);
    let configs: Vec<String> = selected.iter().map(|entry| entry.down.config.to_string()).collect();
    assert_eq!(configs, ["32x64x256 g1 w4 s4", "64x128x256 g64 w4 s2"]);
    assert!(selected.iter().all(|entry| entry.up.source == Source::RuntimeDefault));
}

#[test]
fn a_default_rejected_in_one_role_is_replaced_in_that_role_only() {
    let plan = glm_plan(&[64]);
    let default = Runtime::Sglang054.default_config(&plan.shape, 64, gb10().shared_memory_per_block);
    for role in Role::BOTH {
        let findings = reject([(role, default.tile())]);
        let selected = select(&plan, &findings);
        holds(&plan, &findings, &selected);
        let other = if role == Role::Up { Role::Down } else { Role::Up };
        assert_eq!(selected[0].role(other).config, default);
        let choice = selected[0].role(role);
        assert_eq!(choice.source, Source::BestPredicted);
        // The kept default decides the BLOCK_SIZE_M.
        assert_eq!(choice.config.block_size_m, 64);
        assert_eq!(
            choice.default_replaced.as_deref(),
            Some("the runtime's default 64x128x128 g1 w4 s4 crashes the compiler")
        );
    }
}

#[test]
fn a_kept_default_that_leaves_the_other_role_nothing_goes_too() {
    let plan = glm_plan(&[64]);
    let findings = reject(every_tile(&plan, Role::Up).filter(|(_, tile)| tile.block_size_m == 64));
    let selected = select(&plan, &findings);
    holds(&plan, &findings, &selected);
    assert_ne!(selected[0].up.config.block_size_m, 64);
    assert_eq!(
        selected[0].down.default_replaced.as_deref(),
        Some(
            "the runtime's default 64x128x128 g1 w4 s4 shares no BLOCK_SIZE_M with what the other \
             projection needs"
        )
    );
}

#[test]
fn tiles_that_spill_are_passed_over_while_others_are_left() {
    let plan = glm_plan(&[256]);
    let first = select(&plan, &KernelFindings::default());
    let mut findings = KernelFindings::default();
    findings.spilling.extend(Role::BOTH.map(|role| (role, first[0].role(role).config.tile())));
    let second = select(&plan, &findings);
    holds(&plan, &findings, &second);
    for role in Role::BOTH {
        assert!(!findings.spilling.contains(&(role, second[0].role(role).config.tile())));
    }
    // Where all spill, the best of them is better than none.
    for role in Role::BOTH {
        findings.spilling.extend(every_tile(&plan, role));
    }
    assert_eq!(select(&plan, &findings), first);
}

/// The default is what the runtime would launch anyway: that it spills is no reason to touch it.
#[test]
fn a_default_that_spills_is_kept() {
    let plan = glm_plan(&[64]);
    let first = select(&plan, &KernelFindings::default());
    let mut findings = KernelFindings::default();
    for role in Role::BOTH {
        findings.spilling.extend(every_tile(&plan, role));
    }
    assert_eq!(select(&plan, &findings), first);
}

#[test]
fn nothing_left_says_where_and_for_what() {
    let plan = glm_plan(&[1, 256]);
    let device = gb10();
    // The default is in the space, so this takes it away as well.
    let findings = reject(Role::BOTH.into_iter().flat_map(|role| every_tile(&plan, role)));
    let error = Selector::new(&plan, &device).select(&findings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no config is left for batch size 1: none that fits NVIDIA GB10 (101376 bytes of shared memory a \
         block) with one BLOCK_SIZE_M for up and down was accepted by the compiler"
    );
    // One role alone is no pair; at 1 the other keeps a default that nobody can follow.
    for role in Role::BOTH {
        let findings = reject(every_tile(&plan, role));
        assert_eq!(Selector::new(&plan, &device).select(&findings), Err(error.clone()));
    }
    // Something for each, and no BLOCK_SIZE_M for both.
    let up = every_tile(&plan, Role::Up).filter(|(_, tile)| tile.block_size_m != 16);
    let down = every_tile(&plan, Role::Down).filter(|(_, tile)| tile.block_size_m == 16);
    let findings = reject(up.chain(down));
    assert_eq!(Selector::new(&plan, &device).select(&findings), Err(error));
}

#[test]
fn best_predicted_takes_the_pair_with_the_least_sum() {
    let device = gb10();
    let plan = plan(glm(), &device, Runtime::Sglang054, Policy::BestPredicted, &[1, 16, 64, 160, 161, 4096]);
    let selected = select(&plan, &KernelFindings::default());
    holds(&plan, &KernelFindings::default(), &selected);
    for entry in &selected {
        let m = entry.batch_size;
        let [up, down] = Role::BOTH.map(|role| rank(&plan.shape, &device, plan.target.runtime, m, role));
        let least = up
            .iter()
            .flat_map(|up| down.iter().map(move |down| (up, down)))
            .filter(|(up, down)| up.config.block_size_m == down.config.block_size_m)
            .map(|(up, down)| up.predicted_us + down.predicted_us)
            .fold(f64::INFINITY, f64::min);
        let sum = entry.up.predicted_us.unwrap() + entry.down.predicted_us.unwrap();
        assert!((sum - least).abs() < 1e-9, "{m}: {sum} is not {least}");
        for role in Role::BOTH {
            assert_eq!(entry.role(role).source, Source::BestPredicted);
            assert_eq!(entry.role(role).default_replaced, None);
        }
    }
}

#[test]
fn a_selector_asked_again_answers_as_a_new_one() {
    let device = gb10();
    for policy in [Policy::RuntimeDefault, Policy::BestPredicted] {
        let plan = plan(glm(), &device, Runtime::Sglang054, policy, &[64, 256]);
        let mut selector = Selector::new(&plan, &device);
        let mut findings = KernelFindings::default();
        for _ in 0..4 {
            let selected = selector.select(&findings).unwrap();
            holds(&plan, &findings, &selected);
            assert_eq!(selected, select(&plan, &findings));
            let up = selected.last().unwrap().up.config.tile();
            assert_eq!(findings.rejected.insert((Role::Up, up), "no".into()), None);
        }
    }
}

#[test]
fn every_kind_of_layer_has_a_pair_on_a_gb10() {
    let device = gb10();
    let block = |n, k| Some(BlockShape { n, k });
    for quantization in [
        Quantization { block_shape: block(128, 128), ..Quantization::none(Dtype::Fp8W8a8) },
        Quantization { block_shape: block(0, 128), ..Quantization::none(Dtype::Int4W4a16) },
        Quantization::none(Dtype::Int8W8a8),
        Quantization::none(Dtype::Int8W8a16),
        Quantization::none(Dtype::Bfloat16),
        Quantization::none(Dtype::Float32),
    ] {
        for runtime in Runtime::ALL {
            for policy in [Policy::RuntimeDefault, Policy::BestPredicted] {
                let plan = plan(MoeShape::glm(quantization, 0), &device, runtime, policy, &[1, 161, 4096]);
                holds(&plan, &KernelFindings::default(), &select(&plan, &KernelFindings::default()));
            }
        }
    }
}
