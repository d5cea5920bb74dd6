//! Verdicts over GPUs in containers, and who uses them.

use super::*;

#[test]
fn a_gpu_that_no_container_has() {
    let inside = |found: GpuInside| {
        let mut examined = healthy();
        examined.nodes[1].gpus_inside = Some(found);
        examined
    };
    let trouble = |says: &str| Obstacle { says: says.into(), fix: None };
    // As Docker says it.
    let words = "could not select device driver \"\" with capabilities: [[gpu]]";
    let refused = inside(GpuInside::NoContainer(trouble(words)));
    is(&only(&refused), "b", "gpu_visible", State::Failed, words, "nvidia-ctk runtime configure");
    let late = inside(GpuInside::Unknown(trouble("did not answer")));
    is(&only(&late), "b", "gpu_visible", State::Unknown, "did not answer", "");
    let seen = |library: bool, trouble: &str, nodes: &[&str]| {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        let found = GpusSeen { nodes, library, trouble: Some(trouble.into()), ..GpusSeen::default() };
        let finding = only(&inside(GpuInside::Seen(found)));
        assert_eq!((finding.item, finding.state), ("gpu_visible", State::Failed));
        (finding.says, finding.fix.unwrap())
    };
    let no_library = "libcuda.so.1: cannot open shared object file: No such file or directory";
    let (says, fix) = seen(false, no_library, &[]);
    assert!(
        says.contains("neither its devices nor its driver") && fix.contains("nvidia-ctk"),
        "{says} {fix}"
    );
    let (says, fix) = seen(false, no_library, &["nvidia0"]);
    assert!(
        says.contains("nvidia0 and no driver library") && fix.contains("DRIVER_CAPABILITIES"),
        "{says} {fix}"
    );
    let (says, fix) = seen(true, "cuInit says CUDA_ERROR_NO_DEVICE (100)", &[]);
    assert!(says.contains("no device of it: cuInit says CUDA_ERROR_NO_DEVICE") && fix.contains("nvidia-ctk"));
    let (says, fix) = seen(true, "cuInit says CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)", &["nvidia0"]);
    assert!(says.contains("MISMATCH") && fix.contains("one version"), "{says} {fix}");
    // A node that has no GPU is told so once.
    let mut none = inside(GpuInside::NoContainer(trouble(words)));
    none.nodes[1].read = Some(Ok(read(&spark(|value| value["commands"]["nvidia_smi"] = json!("missing")))));
    assert_eq!(wrong(&none), [("b".into(), "gpu", State::Failed)]);
}

#[test]
fn another_gpu_in_the_container_and_another_limit() {
    let having = |name: &str, bytes: Option<u32>| {
        let mut examined = healthy();
        let gpus = vec![CudaGpu { name: name.into(), shared_memory_per_block: bytes }];
        examined.nodes[1].gpus_inside = Some(GpuInside::Seen(GpusSeen { gpus, ..gpus_seen() }));
        examined
    };
    let other = having("NVIDIA Thor", Some(232_448));
    is(
        &only(&other),
        "b",
        "gpu_visible",
        State::Failed,
        "NVIDIA Thor, where the inventory expects",
        "expect_gpu",
    );
    let limit = having("NVIDIA GB10", Some(49_152));
    let says = "49152 bytes, and its profile says 101376";
    is(&only(&limit), "b", "shared_memory", State::Failed, says, "profile");
    is(&only(&having("NVIDIA GB10", None)), "b", "shared_memory", State::Unknown, "does not say", "");
    // A GPU that nobody has described has nothing to be compared with.
    let mut new = having("NVIDIA GB99", Some(1));
    new.nodes[1].node = of(&INVENTORY.replace("expect_gpu = \"NVIDIA GB10\"\n", "")).nodes.remove(1).node;
    assert_eq!(wrong(&new), []);
}

#[test]
fn a_gpu_that_somebody_uses() {
    let used = |text: &str| {
        let mut examined = healthy();
        let owners = BTreeMap::from([("114687".to_owned(), "alice".to_owned())]);
        examined.nodes[1].looked = Some(Ok(Looked { gpu_programs: Some(text.into()), owners, ..looked() }));
        examined
    };
    // As on GB10, where the GPU's own memory is not told and the programs' is.
    let two = used("114687, 19135, /usr/local/bin/python\n7, [N/A], a, b\n");
    let says = "in use by 114687 /usr/local/bin/python (alice, 18.7 GiB), 7 a, b";
    is(&only(&two), "b", "gpu_in_use", State::Warning, says, "ps -o user,lstart,args -p 114687,7");
    for nobody in ["", "No running processes found\n", "[Not Supported]\n"] {
        assert_eq!(wrong(&used(nobody)), [], "{nobody}");
    }
}
