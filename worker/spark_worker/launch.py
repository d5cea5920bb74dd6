"""What SGLang passes to its kernel: every parameter of every known version, by name.

Written after `invoke_fused_moe_kernel` of 0.5.4.post2 and 0.5.23 and the tensors its
callers hand it. A kernel takes from this table the parameters it has; one that it has
and the table lacks is an error, because a guess would prove the wrong kernel.
"""

from dataclasses import dataclass

from spark_worker.config import Config
from spark_worker.shape import Shape

DENSE_KERNEL = "fused_moe_kernel"
GROUP_QUANTISED_KERNEL = "fused_moe_kernel_gptq_awq"


@dataclass(frozen=True)
class Pointer:
    """A device allocation; `element` is Triton's name for what it holds."""

    element: str


@dataclass(frozen=True)
class DataType:
    """A `triton.language` type passed by value, kept as a name so that this file needs no Triton."""

    name: str


@dataclass(frozen=True)
class VaryingInteger:
    """An integer that differs from launch to launch, so nothing is known about its value."""


@dataclass(frozen=True)
class _Elements:
    activation: str
    weight: str
    output: str
    compute: str


# compute_type is bfloat16 for bfloat16 activations and float16 for all others, float32 too.
_ELEMENTS = {
    "fp8_w8a8": _Elements("fp8e4nv", "fp8e4nv", "bf16", "bfloat16"),
    "int8_w8a8": _Elements("i8", "i8", "bf16", "bfloat16"),
    "int8_w8a16": _Elements("bf16", "i8", "bf16", "bfloat16"),
    "int4_w4a16": _Elements("bf16", "u8", "bf16", "bfloat16"),
    "bfloat16": _Elements("bf16", "bf16", "bf16", "bfloat16"),
    "float16": _Elements("fp16", "fp16", "fp16", "float16"),
    "float32": _Elements("fp32", "fp32", "fp32", "float16"),
}

_MOST_ROWS_OF_DECODING = 512


def kernel_name(shape):
    return GROUP_QUANTISED_KERNEL if shape.group_quantised else DENSE_KERNEL


def known_parameters(kernel):
    """Every parameter of `kernel` that this file can bind, over all SGLang versions."""
    return _PARAMETERS[kernel]


def launch_arguments(shape, role, config, capability, batch_size=1):
    """The value SGLang gives each parameter it may have, for one launch on `capability`."""
    arguments = {**_common(shape, role, config), **_tile(config)}
    if shape.group_quantised:
        return {**arguments, **_group_quantised(shape, role)}
    return {**arguments, **_dense(shape, role, config, capability, batch_size)}


def launch_options(config, capability, parameters):
    """Triton's launch options. Programmatic dependent launch goes with the parameter that uses it."""
    options = dict(config.options)
    if "USE_GDC" in parameters and _supports_dependent_launch(capability):
        options["launch_pdl"] = True
    return options


def _common(shape, role, config):
    gemm = shape.gemm(role)
    elements = _ELEMENTS[shape.dtype]
    stored_k = _stored_k(shape, gemm)
    return {
        "a_ptr": Pointer(elements.activation),
        "b_ptr": Pointer(elements.weight),
        "c_ptr": Pointer(elements.output),
        "topk_weights_ptr": Pointer("fp32"),
        "sorted_token_ids_ptr": Pointer("i32"),
        "expert_ids_ptr": Pointer("i32"),
        "num_tokens_post_padded_ptr": Pointer("i32"),
        "N": gemm.n,
        "K": gemm.k,
        "EM": VaryingInteger(),
        "num_valid_tokens": VaryingInteger(),
        "stride_am": gemm.k,
        "stride_ak": 1,
        "stride_be": gemm.n * stored_k,
        "stride_bk": 1,
        "stride_bn": stored_k,
        "stride_cm": gemm.n,
        "stride_cn": 1,
        "MUL_ROUTED_WEIGHT": gemm.routed_weight,
        "top_k": gemm.top_k,
        "compute_type": DataType(elements.compute),
        "use_int8_w8a16": shape.dtype == "int8_w8a16",
        # Taken from the stored width, as SGLang does: for packed int4 that is K / 2.
        "even_Ks": stored_k % config.block_k == 0,
        # Later versions dropped the parameter and always have the branch it guards.
        "filter_expert": shape.expert_parallel,
    }


def _tile(config):
    return {
        "BLOCK_SIZE_M": config.block_m,
        "BLOCK_SIZE_N": config.block_n,
        "BLOCK_SIZE_K": config.block_k,
        "GROUP_SIZE_M": config.group_m,
    }


def _dense(shape, role, config, capability, batch_size):
    dependent_launch = _supports_dependent_launch(capability)
    rows = batch_size if role == "up" else batch_size * shape.top_k
    group_n, group_k = shape.block_shape or (0, 0)
    return {
        **_scales(shape, shape.gemm(role)),
        # Tensor descriptors exist only for the TMA variants.
        "a_desc": None,
        "b_desc": None,
        "bias_ptr": None,
        "stride_bias_e": 0,
        "stride_bias_n": 0,
        "group_n": group_n,
        "group_k": group_k,
        "use_fp8_w8a8": shape.dtype == "fp8_w8a8",
        "use_int8_w8a8": shape.dtype == "int8_w8a8",
        "per_channel_quant": shape.per_channel,
        "c_sorted": False,
        "swap_ab": _swaps_operands(shape, config, capability),
        # Output flavours of LoRA, of the fused all-reduce and of interleaved gate/up weights: opt-in, off.
        "add_mask_ptr": None,
        "FUSE_ADD_TO_OUTPUT": False,
        "MASK_OUTPUT": False,
        "FUSE_SUM_ALL_REDUCE": False,
        "FUSE_SWIGLU": False,
        "ROUTER_TOPK": shape.gemm(role).router_top_k,
        "A_OUTPUT_SLICES": 1,
        "A_OUTPUT_SLICE_WIDTH": 0,
        "A_OUTPUT_SLICE_K": 0,
        "USE_GDC": dependent_launch,
        # It moves one instruction.
        "GDC_EARLY": dependent_launch and rows <= _MOST_ROWS_OF_DECODING,
    }


def _group_quantised(shape, role):
    gemm = shape.gemm(role)
    _, group_size = shape.block_shape
    groups = gemm.k // group_size
    return {
        # Both widths are stored as unsigned bytes, with scales in the activations' type.
        "b_ptr": Pointer("u8"),
        "b_scale_ptr": Pointer(_ELEMENTS[shape.dtype].activation),
        "stride_bse": gemm.n * groups,
        "stride_bsk": 1,
        "stride_bsn": groups,
        "b_zp_ptr": None,
        "stride_bze": 0,
        "stride_bzk": 0,
        "stride_bzn": 0,
        "has_zp": False,
        "group_size": group_size,
        "use_int4_w4a16": shape.dtype == "int4_w4a16",
    }


def _scales(shape, gemm):
    if shape.block_quantised:
        block_n, block_k = shape.block_shape
        rows, columns = _ceil_div(gemm.n, block_n), _ceil_div(gemm.k, block_k)
        return _scale_arguments("fp32", "fp32", (columns, 1), (rows * columns, 1, columns))
    if shape.dtype == "int8_w8a16":
        # Weight scales are [experts, N]; the activations have none.
        return _scale_arguments(None, "fp32", (0, 0), (gemm.n, 0, 1))
    if shape.dtype in ("fp8_w8a8", "int8_w8a8"):
        if shape.per_channel:
            # Activation scales are [tokens, 1], weight scales [experts, N, 1].
            return _scale_arguments("fp32", "fp32", (1, 1), (gemm.n, 1, 1))
        return _scale_arguments("fp32", "fp32", (0, 0), (0, 0, 0))
    return _scale_arguments(None, None, (0, 0), (0, 0, 0))


def _scale_arguments(activation, weight, activation_strides, weight_strides):
    return {
        "a_scale_ptr": activation and Pointer(activation),
        "b_scale_ptr": weight and Pointer(weight),
        **dict(zip(("stride_asm", "stride_ask"), activation_strides, strict=True)),
        **dict(zip(("stride_bse", "stride_bsk", "stride_bsn"), weight_strides, strict=True)),
    }


def _stored_k(shape, gemm):
    """The last extent of the weight tensor: int4 packs two values a byte."""
    return gemm.k // 2 if shape.dtype == "int4_w4a16" else gemm.k


def _swaps_operands(shape, config, capability):
    is_sm90 = capability // 10 == 9
    return shape.dtype == "fp8_w8a8" and is_sm90 and config.block_m < 64 and config.block_n >= 64


def _supports_dependent_launch(capability):
    return capability >= 90


def _ceil_div(value, divisor):
    return -(-value // divisor)


def _parameters_of(dtype, block_shape):
    """The keys of the table above, read off one launch: they do not depend on its sizes."""
    shape = Shape(1, 16, 16, 1, dtype, block_shape, per_channel=False, gated=True)
    return frozenset(launch_arguments(shape, "up", Config(16, 16, 16, 1, None, None), capability=0))


_PARAMETERS = {
    DENSE_KERNEL: _parameters_of("bfloat16", None),
    GROUP_QUANTISED_KERNEL: _parameters_of("int4_w4a16", (0, 16)),
}
