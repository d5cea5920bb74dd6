"""What is multiplied: one MoE layer on one rank, and the two GEMMs in it."""

from dataclasses import dataclass

from spark_worker.fields import field
from spark_worker.protocol import RequestError

DTYPES = ("fp8_w8a8", "int8_w8a8", "int8_w8a16", "int4_w4a16", "bfloat16", "float16", "float32")
ROLES = ("up", "down")

_EIGHT_BIT_BOTH = ("fp8_w8a8", "int8_w8a8")
_WEIGHT_ONLY = ("int8_w8a16", "int4_w4a16")


@dataclass(frozen=True)
class Shape:
    experts: int
    intermediate: int
    hidden: int
    top_k: int
    dtype: str
    block_shape: tuple[int, int] | None
    per_channel: bool
    gated: bool
    # Some experts live on other ranks. SGLang 0.5.4 adds a branch for their tokens, which
    # allocates nothing but is enough to crash Triton 3.5 on a few bfloat16 tiles.
    expert_parallel: bool = False

    @classmethod
    def from_request(cls, source):
        shape = cls(
            experts=field(source, "experts", int, minimum=1),
            intermediate=field(source, "intermediate", int, minimum=1),
            hidden=field(source, "hidden", int, minimum=1),
            top_k=field(source, "top_k", int, minimum=1),
            dtype=field(source, "dtype", str, choices=DTYPES),
            block_shape=_block_shape(field(source, "block_shape", list, default=None)),
            per_channel=field(source, "per_channel", bool, default=False),
            gated=field(source, "gated", bool, default=True),
            expert_parallel=field(source, "expert_parallel", bool, default=False),
        )
        shape._check_quantisation()
        return shape

    @property
    def block_quantised(self):
        """Activations and weights both carry one scale a block."""
        return self.dtype in _EIGHT_BIT_BOTH and self.block_shape is not None

    @property
    def group_quantised(self):
        """16-bit activations, weights with one scale a group along K (GPTQ and AWQ layouts)."""
        return self.dtype in _WEIGHT_ONLY and self.block_shape is not None

    def gemm(self, role):
        if role == "up":
            columns = 2 * self.intermediate if self.gated else self.intermediate
            return Gemm(n=columns, k=self.hidden, top_k=self.top_k, router_top_k=1, routed_weight=False)
        # The down projection reads one row a (token, expert) pair, so its own top_k is 1.
        return Gemm(n=self.hidden, k=self.intermediate, top_k=1, router_top_k=self.top_k, routed_weight=True)

    def _check_quantisation(self):
        """Refuse the combinations that SGLang's own launch asserts away."""
        if self.block_shape is None:
            if self.dtype == "int8_w8a8" and not self.per_channel:
                raise _bad_shape("int8_w8a8 needs per_channel or a block_shape: SGLang has no per-tensor int8")
            if self.dtype == "int4_w4a16":
                raise _bad_shape("int4_w4a16 needs block_shape [0, group size]")
            return
        block_n, _ = self.block_shape
        if self.dtype in _EIGHT_BIT_BOTH and block_n == 0:
            raise _bad_shape(f"{self.dtype} needs a block_shape of two positive sizes, not {list(self.block_shape)}")
        if self.dtype in _WEIGHT_ONLY and block_n != 0:
            raise _bad_shape(f"{self.dtype} needs block_shape [0, group size], not {list(self.block_shape)}")
        if self.dtype not in _EIGHT_BIT_BOTH + _WEIGHT_ONLY:
            raise _bad_shape(f"{self.dtype} is not quantised and takes no block_shape")


@dataclass(frozen=True)
class Gemm:
    """C[tokens, n] = A[tokens, k] x B[expert, n, k], once for each chosen expert."""

    n: int
    k: int
    top_k: int
    router_top_k: int
    routed_weight: bool


def _block_shape(values):
    if values is None:
        return None
    sizes = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(values) != 2 or len(sizes) != 2 or sizes[0] < 0 or sizes[1] < 1:
        raise _bad_shape(f"block_shape must be [rows, columns] with columns above 0, not {values}")
    return sizes[0], sizes[1]


def _bad_shape(message):
    return RequestError("bad_request", f"shape: {message}")
