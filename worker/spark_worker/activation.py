"""silu(gate) * up, which SGLang runs between the projections."""


def silu_and_mul(torch, device):
    """(what computes it into a given output, where it comes from)."""
    if device == "cuda":
        try:
            from sgl_kernel import silu_and_mul as fused
        except Exception:  # not installed, or built for another torch or GPU
            pass
        else:
            return fused, "sgl_kernel"

    def composed(gate_up, output):
        gate, up = gate_up.chunk(2, dim=1)
        torch.mul(torch.nn.functional.silu(gate), up, out=output)

    return composed, "torch"
