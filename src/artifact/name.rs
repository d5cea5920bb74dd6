//! The names of config files, byte for byte as each runtime looks them up.
//!
//! Source: `get_config_file_name` in SGLang 0.5.4.post2 and 0.5.23 and in vLLM's `fused_moe.py`; what
//! they are called with: `try_get_optimal_moe_config` in the same files.

use std::fmt;

use crate::device::Device;
use crate::runtime::Runtime;
use crate::shape::{BlockShape, Dtype, MoeShape, Role};

/// What a config file's name says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigName {
    /// E.
    pub experts: u32,
    /// N as the runtime counts it.
    pub n: u32,
    /// The device's name with underscores. Empty in two shipped files.
    pub device: String,
    /// What `,dtype=` says; the 16-bit floats say nothing.
    pub dtype: Option<Dtype>,
    /// Block scales in both dimensions.
    pub block_shape: Option<BlockShape>,
    /// `,per_channel_quant=True`.
    pub per_channel: bool,
    /// `_down` or not.
    pub role: Role,
}

/// How a name writes its block shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `[128, 128]`: Python's own formatting of a list.
    Sglang,
    /// `[128,128]`: vLLM takes the space out.
    Vllm,
}

/// Why a text is no config file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a config file: {reason}")]
pub struct BadName {
    /// What is wrong with it.
    pub reason: String,
}

impl ConfigName {
    /// The name under which `runtime` looks for `role`'s configs of `shape` on `device`.
    pub fn for_shape(shape: &MoeShape, device: &Device, runtime: Runtime, role: Role) -> Self {
        let quantization = &shape.quantization;
        // SGLang takes N from the weight tensor's last dimension, where int4 packs two elements to a
        // byte (a shipped Kimi file says N=128 for 256 elements). vLLM doubles it back.
        let packed = quantization.dtype == Dtype::Int4W4a16 && runtime != Runtime::Vllm;
        Self {
            experts: shape.experts,
            n: if packed { shape.intermediate / 2 } else { shape.intermediate },
            device: device.file_name(),
            dtype: quantization.dtype.file_selector().map(|_| quantization.dtype),
            block_shape: quantization.full_block(),
            per_channel: quantization.per_channel && runtime.names_per_channel(),
            role,
        }
    }

    /// The file name as `runtime` writes it.
    pub fn file_name(&self, runtime: Runtime) -> String {
        let spelling = if runtime == Runtime::Vllm { Spelling::Vllm } else { Spelling::Sglang };
        self.spelled(spelling)
    }

    fn spelled(&self, spelling: Spelling) -> String {
        let Self { experts, n, device, dtype, block_shape, per_channel, role } = self;
        let mut name = format!("E={experts},N={n},device_name={device}");
        if let Some(dtype) = dtype {
            name += &format!(",dtype={}", dtype.name());
        }
        if let Some(block) = block_shape {
            let space = if spelling == Spelling::Sglang { " " } else { "" };
            name += &format!(",block_shape=[{},{space}{}]", block.n, block.k);
        }
        if *per_channel {
            name += ",per_channel_quant=True";
        }
        if *role == Role::Down {
            name += "_down";
        }
        name + ".json"
    }

    /// The other role's name.
    pub fn sibling(&self) -> Self {
        let role = match self.role {
            Role::Up => Role::Down,
            Role::Down => Role::Up,
        };
        Self { role, ..self.clone() }
    }

    /// Read a file name back. The spelling tells whose it is, where it has a block shape.
    pub fn parse(name: &str) -> Result<(Self, Option<Spelling>), BadName> {
        let bad = |reason: String| BadName { reason };
        let stem = name.strip_suffix(".json").ok_or_else(|| bad("it does not end in .json".into()))?;
        let (stem, role) = match stem.strip_suffix("_down") {
            Some(stem) => (stem, Role::Down),
            None => (stem, Role::Up),
        };
        let (stem, per_channel) = match stem.strip_suffix(",per_channel_quant=True") {
            Some(stem) => (stem, true),
            None => (stem, false),
        };
        let (stem, block) = match stem.split_once(",block_shape=") {
            Some((stem, block)) => (stem, Some(block)),
            None => (stem, None),
        };
        let (stem, dtype) = match stem.split_once(",dtype=") {
            Some((stem, dtype)) => (stem, Some(dtype)),
            None => (stem, None),
        };
        let fields = stem.strip_prefix("E=").and_then(|rest| {
            let (experts, rest) = rest.split_once(",N=")?;
            let (n, device) = rest.split_once(",device_name=")?;
            Some((experts, n, device))
        });
        let Some((experts, n, device)) = fields else {
            return Err(bad("it does not begin `E=...,N=...,device_name=...`".into()));
        };
        if let Some(odd) = device.chars().find(|&c| c == ',' || c == ' ' || c == '=') {
            return Err(bad(format!("the device name `{device}` holds `{odd}`")));
        }
        let count = |field: &str, text: &str| {
            canonical(text).ok_or_else(|| bad(format!("{field}={text} is no whole number above 0")))
        };
        let dtype = match dtype {
            None => None,
            Some(text) => match text.parse::<Dtype>() {
                Ok(dtype) if dtype.file_selector() == Some(text) => Some(dtype),
                _ => return Err(bad(format!("no runtime writes dtype={text}"))),
            },
        };
        let (block_shape, spelling) = match block {
            None => (None, None),
            Some(text) => {
                let (block, spelling) = parse_block(text)
                    .ok_or_else(|| bad(format!("block_shape={text} is not two sizes in brackets")))?;
                (Some(block), Some(spelling))
            }
        };
        let parsed = Self {
            experts: count("E", experts)?,
            n: count("N", n)?,
            device: device.to_owned(),
            dtype,
            block_shape,
            per_channel,
            role,
        };
        Ok((parsed, spelling))
    }
}

impl fmt::Display for ConfigName {
    /// As SGLang spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.spelled(Spelling::Sglang))
    }
}

/// A whole number above 0 written the one way every runtime writes it.
fn canonical(text: &str) -> Option<u32> {
    let number = text.parse::<u32>().ok().filter(|&number| number > 0)?;
    (number.to_string() == text).then_some(number)
}

fn parse_block(text: &str) -> Option<(BlockShape, Spelling)> {
    let (n, k) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    let (k, spelling) = match k.strip_prefix(' ') {
        Some(k) => (k, Spelling::Sglang),
        None => (k, Spelling::Vllm),
    };
    Some((BlockShape { n: canonical(n)?, k: canonical(k)? }, spelling))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shape::Quantization;

    fn gb10() -> Device {
        Device::find("gb10").unwrap()
    }

    fn shape(experts: u32, intermediate: u32, quantization: Quantization) -> MoeShape {
        MoeShape {
            experts,
            intermediate,
            hidden: 5120,
            top_k: 8,
            fused_shared_experts: 0,
            gated: true,
            quantization,
        }
    }

    fn names(shape: &MoeShape, runtime: Runtime) -> [String; 2] {
        Role::BOTH.map(|role| ConfigName::for_shape(shape, &gb10(), runtime, role).file_name(runtime))
    }

    #[test]
    fn glm_is_named_as_each_version_looks_it_up() {
        let channel = Quantization { per_channel: true, ..Quantization::none(Dtype::Fp8W8a8) };
        assert_eq!(
            names(&shape(160, 384, channel), Runtime::Sglang054),
            [
                "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8.json",
                "E=160,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8_down.json"
            ]
        );
        assert_eq!(
            names(&shape(161, 384, channel), Runtime::Sglang0523),
            [
                "E=161,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,per_channel_quant=True.json",
                "E=161,N=384,device_name=NVIDIA_GB10,dtype=fp8_w8a8,per_channel_quant=True_down.json"
            ]
        );
    }

    #[test]
    fn block_shapes_have_a_space_for_sglang_and_none_for_vllm() {
        let block = BlockShape { n: 128, k: 128 };
        let quantization = Quantization { block_shape: Some(block), ..Quantization::none(Dtype::Fp8W8a8) };
        let shape = shape(128, 768, quantization);
        let [sglang, _] = names(&shape, Runtime::Sglang0523);
        assert_eq!(sglang, "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128, 128].json");
        let [vllm, _] = names(&shape, Runtime::Vllm);
        assert_eq!(vllm, "E=128,N=768,device_name=NVIDIA_GB10,dtype=fp8_w8a8,block_shape=[128,128].json");
        assert_eq!(ConfigName::parse(&vllm).unwrap().1, Some(Spelling::Vllm));
    }

    #[test]
    fn plain_weights_name_no_dtype_and_int4_names_its_packed_width() {
        let [plain, _] = names(&shape(8, 3584, Quantization::none(Dtype::Bfloat16)), Runtime::Sglang054);
        assert_eq!(plain, "E=8,N=3584,device_name=NVIDIA_GB10.json");
        let group = Quantization {
            block_shape: Some(BlockShape { n: 0, k: 32 }),
            ..Quantization::none(Dtype::Int4W4a16)
        };
        let [sglang, _] = names(&shape(384, 256, group), Runtime::Sglang0523);
        assert_eq!(sglang, "E=384,N=128,device_name=NVIDIA_GB10,dtype=int4_w4a16.json");
        let [vllm, _] = names(&shape(384, 256, group), Runtime::Vllm);
        assert_eq!(vllm, "E=384,N=256,device_name=NVIDIA_GB10,dtype=int4_w4a16.json");
    }

    #[test]
    fn other_names_are_refused_with_a_reason() {
        for (name, reason) in [
            ("config.json", "does not begin"),
            ("E=1,N=2,device_name=X.txt", "does not end"),
            ("E=0,N=2,device_name=X.json", "E=0"),
            ("E=01,N=2,device_name=X.json", "E=01"),
            ("E=1,N=+2,device_name=X.json", "N=+2"),
            ("E=1,N=2,device_name=X,dtype=fp9.json", "dtype=fp9"),
            ("E=1,N=2,device_name=X,dtype=bfloat16.json", "dtype=bfloat16"),
            ("E=1,N=2,device_name=NVIDIA GB10.json", "holds ` `"),
            ("E=1,N=2,device_name=X,block_shape=128.json", "block_shape=128"),
            ("E=1,N=2,device_name=X,per_channel_quant=False.json", "holds `,`"),
        ] {
            let error = ConfigName::parse(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }

    proptest! {
        #[test]
        fn names_round_trip(
            experts in 1u32..10_000,
            n in 1u32..100_000,
            device in "[A-Za-z0-9_-]{0,40}",
            dtype in proptest::option::of(proptest::sample::select(
                Dtype::ALL.into_iter().filter(|d| d.file_selector().is_some()).collect::<Vec<_>>())),
            block in proptest::option::of((1u32..1000, 1u32..1000)),
            per_channel: bool,
            down: bool,
            vllm: bool,
        ) {
            let name = ConfigName {
                experts, n, device, dtype,
                block_shape: block.map(|(n, k)| BlockShape { n, k }),
                per_channel,
                role: if down { Role::Down } else { Role::Up },
            };
            let spelling = if vllm { Spelling::Vllm } else { Spelling::Sglang };
            let (read, found) = ConfigName::parse(&name.spelled(spelling)).unwrap();
            prop_assert_eq!(&read, &name);
            prop_assert_eq!(found, name.block_shape.map(|_| spelling));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            if let Ok((name, spelling)) = ConfigName::parse(&text) {
                prop_assert_eq!(name.spelled(spelling.unwrap_or(Spelling::Sglang)), text);
            }
        }
    }
}
