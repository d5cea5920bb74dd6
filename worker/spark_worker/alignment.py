"""Rows sorted by expert and padded to whole blocks, as SGLang's `moe_align_block_size` lays them out.

Restated from that function and the kernels behind it (`moe_align_kernel.cu`, `moe_align_small_numel.py`).
They leave the order of rows within an expert to chance, or to the index as done here; the
multiplication takes any. What lies past the rows in use, they leave unwritten in part:
here it is padding, and experts -1, so that nothing can be read from it by accident.
"""

from dataclasses import dataclass
from typing import Any

RUNTIMES = ("sglang-0.5.4.post2", "sglang-0.5.23")

# The align kernel of later versions pads with four integers a store.
_PADDING_STORE = 4


@dataclass(frozen=True)
class Alignment:
    """`sorted_token_ids`, whose length is the kernel's EM; `expert_ids`; `num_tokens_post_padded`."""

    sorted_token_ids: Any
    expert_ids: Any
    num_tokens_post_padded: Any

    @property
    def rows(self):
        return self.sorted_token_ids.numel()


def allocated_rows(runtime, pairs, experts, block):
    """EM: room for the worst routing of `pairs` (token, expert) pairs, not what one fills."""
    buckets = experts + 1  # one more for the experts of other ranks
    padded = pairs + buckets * (block - 1)
    if runtime == "sglang-0.5.4.post2":
        return padded
    rows = pairs * block if pairs < buckets else padded
    return _ceil_div(rows, _PADDING_STORE) * _PADDING_STORE


def align(topk_ids, block, experts, runtime):
    """The alignment of `topk_ids` for BLOCK_SIZE_M = `block`, on the device of `topk_ids`."""
    import torch

    expert_of = topk_ids.flatten().long()
    pairs, device = expert_of.numel(), expert_of.device
    rows = allocated_rows(runtime, pairs, experts, block)
    counts = torch.bincount(expert_of, minlength=experts)
    blocks = (counts + block - 1) // block
    first_row = (blocks.cumsum(0) - blocks) * block
    first_pair = counts.cumsum(0) - counts
    order = torch.argsort(expert_of, stable=True)
    owner = expert_of[order]
    row = first_row[owner] + torch.arange(pairs, device=device) - first_pair[owner]
    # The padding is an index one past the last pair, which the kernel masks away.
    sorted_token_ids = torch.full((rows,), pairs, dtype=torch.int32, device=device)
    sorted_token_ids[row] = order.to(torch.int32)
    used = torch.repeat_interleave(torch.arange(experts, dtype=torch.int32, device=device), blocks)
    expert_ids = torch.full((_ceil_div(rows, block),), -1, dtype=torch.int32, device=device)
    expert_ids[: used.numel()] = used
    total = (blocks.sum() * block).to(torch.int32).reshape(1)
    return Alignment(sorted_token_ids, expert_ids, total)


def _ceil_div(value, divisor):
    return -(-value // divisor)
