"""What the kernels ought to give: the same product in float32, from the dequantised operands."""

import math

# ||out - reference|| / ||reference||. Both see the same quantised operands, so what is left is
# the rounding of the output (bfloat16: 2^-9 at most, float16: 2^-12), of int4 and grouped int8
# weights to bfloat16 once they are scaled, and of float32 operands to TF32. Measured in Triton's
# interpreter: below 3e-3 for bfloat16 outputs. One block of 16x64 gone wrong among a
# thousand gives 4e-2.
_TOLERANCES = {"float16": 5e-3, "float32": 5e-3}
_BFLOAT16_TOLERANCE = 1e-2


def tolerance(dtype):
    return _TOLERANCES.get(dtype, _BFLOAT16_TOLERANCE)


def relative_error(output, reference):
    """NaN, which is what is left where the kernel did not write, stays NaN."""
    difference = (output.float() - reference).norm() / reference.norm()
    return float(difference)


def is_wrong(error, dtype):
    return math.isnan(error) or error > tolerance(dtype)


class Reference:
    """The expected outputs for one routing of a few tokens, each computed once."""

    def __init__(self, torch, inputs, topk_ids, topk_weights):
        self._torch = torch
        self._shape = inputs.shape
        self._inputs = inputs
        self._tokens, self._top_k = topk_ids.shape
        self._experts = topk_ids.flatten().long()
        self._weights = topk_weights.flatten().float()
        self._known = {}

    def of(self, role):
        """`up`, `down`, or `path`: what the down projection gives behind the other two steps."""
        if role not in self._known:
            self._known[role] = self._compute(role)
        return self._known[role]

    def _compute(self, role):
        torch = self._torch
        if role == "up":
            pairs = torch.arange(self._tokens * self._top_k, device=self._experts.device)
            return self._multiply("up", self._activations("up", self._tokens)[pairs // self._top_k])
        if role == "down" or self._inputs.operands["down"].a_scale is not None:
            # A quantised path reads its activations ready-made: see `bench`.
            rows = self._activations("down", self._tokens * self._top_k)
        else:
            gate, up = self.of("up").chunk(2, dim=1)
            rows = torch.nn.functional.silu(gate) * up
        return self._multiply("down", rows) * self._weights[:, None]

    def _multiply(self, role, rows):
        output = self._torch.empty(len(rows), self._shape.gemm(role).n, device=rows.device)
        for expert in self._experts.unique().tolist():
            chosen = self._experts == expert
            output[chosen] = rows[chosen] @ self._dequantised(role, expert).T
        return output

    def _activations(self, role, rows):
        operands = self._inputs.operands[role]
        values = operands.a[:rows].float()
        if operands.a_scale is None:
            return values
        if operands.a_scale.dim() == 1:
            return values * operands.a_scale
        scales = operands.a_scale[:rows]
        return values * scales.repeat_interleave(values.shape[1] // scales.shape[1], dim=1)

    def _dequantised(self, role, expert):
        operands, shape = self._inputs.operands[role], self._shape
        k = shape.gemm(role).k
        stored = operands.b[expert]
        if operands.b_scale is None:
            return stored.float()
        scale = operands.b_scale[expert].float()
        if shape.group_quantised:
            return self._unpacked(stored, k) * scale.repeat_interleave(k // scale.shape[1], dim=1)
        if shape.block_quantised:
            block_n, block_k = shape.block_shape
            columns = scale.repeat_interleave(block_n, dim=0)[: len(stored)]
            return stored.float() * columns.repeat_interleave(block_k, dim=1)
        # One scale for the expert, or one for each of its output columns.
        return stored.float() * scale.reshape(-1, 1)

    def _unpacked(self, stored, k):
        if self._shape.dtype == "int8_w8a16":
            return stored.float() - 128
        # The even one of two neighbours along K is in the low half.
        return self._torch.stack([stored & 15, stored >> 4], dim=2).view(len(stored), k).float() - 8
