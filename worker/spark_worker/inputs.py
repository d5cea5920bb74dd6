"""What the kernels read and write: planned in bytes first, allocated once, filled from a seed.

The values matter little to a time but much to a check: every scale differs from its
neighbours, so that a wrong stride shows, and outputs are near 1 whatever the sizes.
"""

import math
from dataclasses import dataclass
from typing import Any

from spark_worker.config import Config
from spark_worker.launch import launch_arguments
from spark_worker.launcher_hints import TORCH_NAMES
from spark_worker.protocol import RequestError
from spark_worker.shape import ROLES

_BYTES = {"fp8e4nv": 1, "i8": 1, "u8": 1, "bf16": 2, "fp16": 2, "fp32": 4}

# SGLang's GPTQ/AWQ kernel reads weights unmasked up to a whole BLOCK_SIZE_K.
_SLACK_BYTES = 4096
_FP8_RMS = 4.0
_QUANTISED_RMS = {"torch.float8_e4m3fn": _FP8_RMS, "torch.int8": 73.0, "torch.uint8": 74.0}
_INT4_RMS = 4.6
_FP8_MAX = 448.0
_INT8_MAX = 127.0

# Only which tensors there are, and of what type, is read off this launch; no tile decides that.
_ANY_TILE = Config(16, 16, 16, 1, None, None)


@dataclass(frozen=True)
class TensorPlan:
    extent: tuple[int, ...]
    element: str

    @property
    def bytes(self):
        return math.prod(self.extent) * _BYTES[self.element] + _SLACK_BYTES

    def allocate(self, torch, device):
        count = math.prod(self.extent)
        slack = _SLACK_BYTES // _BYTES[self.element]
        dtype = getattr(torch, TORCH_NAMES[self.element])
        return torch.empty(count + slack, dtype=dtype, device=device)[:count].view(self.extent)


@dataclass(frozen=True)
class Operands:
    """The tensors of one role. `a` has a row a token (up) or a row a (token, expert) pair (down)."""

    a: Any
    b: Any
    c: Any
    a_scale: Any
    b_scale: Any


class Inputs:
    """Both roles' operands for up to `max_tokens` tokens."""

    def __init__(self, shape, max_tokens):
        check_measurable(shape)
        self.shape = shape
        self.max_tokens = max_tokens
        self._plans = {role: plan_operands(shape, role, max_tokens) for role in ROLES}
        element = self._plans["down"]["c"].element
        # Between the two projections, where the path is measured.
        self._activated_plan = TensorPlan((max_tokens * shape.top_k, shape.intermediate), element)

    @property
    def bytes(self):
        plans = [plan for role in self._plans.values() for plan in role.values() if plan is not None]
        return sum(plan.bytes for plan in (*plans, self._activated_plan))

    @property
    def scratch_bytes(self):
        """On top of `bytes`, while filling and checking: one expert and all activations, as float32, twice."""
        widest = max(math.prod(role["b"].extent[1:]) * 2 for role in self._plans.values())
        rows = max(math.prod(role["a"].extent) for role in self._plans.values())
        return 2 * 4 * max(widest, rows)

    def allocate(self, torch, device, seed):
        generator = torch.Generator(device).manual_seed(seed)
        self.activated = self._activated_plan.allocate(torch, device)
        self.operands = {}
        for role, plans in self._plans.items():
            tensors = {name: plan and plan.allocate(torch, device) for name, plan in plans.items()}
            self.operands[role] = Operands(**tensors)
            _Filler(torch, generator, self.shape, self.operands[role]).fill()


def check_measurable(shape):
    """Refuse what SGLang itself could not run on these extents."""
    if shape.block_shape is None:
        return
    _, block_k = shape.block_shape
    for role in ROLES:
        k = shape.gemm(role).k
        if k % block_k:
            raise RequestError(
                "bad_request",
                f"shape: SGLang quantises whole blocks of {block_k} along K, and the {role} projection has K = {k}",
            )


def plan_operands(shape, role, max_tokens):
    """The tensors of `role` by their names in `Operands`; types are those the launch table states."""
    arguments = launch_arguments(shape, role, _ANY_TILE, capability=0)
    gemm = shape.gemm(role)
    rows = max_tokens if role == "up" else max_tokens * shape.top_k
    stored_k = gemm.k // 2 if shape.dtype == "int4_w4a16" else gemm.k
    extents = {
        "a": (rows, gemm.k),
        "b": (shape.experts, gemm.n, stored_k),
        "c": (max_tokens * shape.top_k, gemm.n),
        "a_scale": _activation_scales(shape, rows, gemm),
        "b_scale": _weight_scales(shape, gemm),
    }
    plans = {}
    for name, extent in extents.items():
        pointer = arguments.get(f"{name}_ptr")
        plans[name] = pointer and TensorPlan(extent, pointer.element)
    return plans


def _activation_scales(shape, rows, gemm):
    if shape.block_quantised:
        return rows, gemm.k // shape.block_shape[1]
    return (rows, 1) if shape.per_channel else (1,)


def _weight_scales(shape, gemm):
    if shape.block_quantised:
        block_n, block_k = shape.block_shape
        return shape.experts, _ceil_div(gemm.n, block_n), gemm.k // block_k
    if shape.group_quantised:
        return shape.experts, gemm.n, gemm.k // shape.block_shape[1]
    if shape.dtype == "int8_w8a16":
        return shape.experts, gemm.n
    return (shape.experts, gemm.n, 1) if shape.per_channel else (shape.experts,)


class _Filler:
    def __init__(self, torch, generator, shape, operands):
        self._torch = torch
        self._generator = generator
        self._shape = shape
        self._operands = operands
        self._device = operands.b.device

    def fill(self):
        operands = self._operands
        for expert in range(self._shape.experts):
            operands.b[expert] = self._weights(operands.b[expert])
        if operands.b_scale is not None:
            base = self._k() ** -0.5 / self._weight_rms()
            operands.b_scale.copy_(base * (0.5 + self._uniform(operands.b_scale.shape)))
        # At once rather than by rows: a scale for the whole tensor needs all of them.
        activations = self._normal(operands.a.shape)
        if operands.a_scale is None:
            operands.a.copy_(activations)
        else:
            self._quantise(activations)

    def _weights(self, like):
        torch = self._torch
        if like.dtype == torch.uint8:
            return self._integers(0, 256, like)
        if like.dtype == torch.int8:
            return self._integers(-127, 128, like)
        if like.dtype == torch.float8_e4m3fn:
            return (self._normal(like.shape) * _FP8_RMS).to(like.dtype)
        return (self._normal(like.shape) * self._k() ** -0.5).to(like.dtype)

    def _weight_rms(self):
        if self._shape.dtype == "int4_w4a16":
            return _INT4_RMS
        return _QUANTISED_RMS[str(self._operands.b.dtype)]

    def _quantise(self, activations):
        """As SGLang does before every launch: one scale for all, for a token, or for a block of it."""
        a, scale = self._operands.a, self._operands.a_scale
        columns = scale.shape[1] if scale.dim() == 2 else 1
        groups = activations.view(len(a) if scale.dim() == 2 else 1, columns, -1)
        most = _INT8_MAX if a.dtype == self._torch.int8 else _FP8_MAX
        amax = groups.abs().amax(dim=2, keepdim=True).clamp_(min=1e-10)
        scale.copy_((amax / most).view(scale.shape))
        quantised = groups.mul_(most / amax).clamp_(-most, most).view(a.shape)
        a.copy_(quantised.round_() if a.dtype == self._torch.int8 else quantised)

    def _k(self):
        return self._operands.a.shape[1]

    def _normal(self, extent):
        return self._torch.randn(extent, generator=self._generator, device=self._device)

    def _uniform(self, extent):
        return self._torch.rand(extent, generator=self._generator, device=self._device)

    def _integers(self, low, high, like):
        return self._torch.randint(
            low, high, like.shape, generator=self._generator, device=self._device, dtype=like.dtype
        )


def _ceil_div(value, divisor):
    return -(-value // divisor)
