"""Which experts each token goes to: drawn from a seed, on the CPU, so that it is the same everywhere.

`uniform` draws the experts of a token without replacement, all equally likely. `skewed` draws
them without replacement with weights 1 / rank (Zipf's law, exponent 1), the ranks dealt to the
experts by the seed; successive sampling, by the largest log(u) / weight (Efraimidis, Spirakis 2006).
Fused shared experts are the last of the weight tensor and take every token.
"""

from dataclasses import dataclass

from spark_worker.fields import field
from spark_worker.protocol import RequestError

KINDS = ("uniform", "skewed")


@dataclass(frozen=True)
class Routing:
    kind: str
    seed: int

    @classmethod
    def from_request(cls, source):
        return cls(field(source, "kind", str, choices=KINDS), field(source, "seed", int, default=0, minimum=0))

    def draw(self, tokens, experts, top_k, fused_shared):
        """(topk_ids int32, topk_weights float32), both [tokens, top_k] on the CPU."""
        import torch

        routed = experts - fused_shared
        generator = torch.Generator("cpu").manual_seed(self.seed)
        # Its own draw, before the others: the hot experts do not depend on the number of tokens.
        rank = torch.randperm(routed, generator=generator)
        uniform = torch.rand(tokens, routed, generator=generator, dtype=torch.float64)
        weight = 1.0 / (1 + rank) if self.kind == "skewed" else torch.ones(routed)
        ids = (uniform.log() / weight).topk(top_k - fused_shared, dim=1).indices
        shared = torch.arange(routed, experts).expand(tokens, fused_shared)
        chosen = torch.rand(tokens, top_k - fused_shared, generator=generator, dtype=torch.float64) + 0.1
        # SGLang's renormalised weights; a shared expert counts as much as all routed ones together.
        weights = torch.cat([chosen / chosen.sum(1, keepdim=True), torch.ones(tokens, fused_shared)], dim=1)
        return torch.cat([ids, shared], dim=1).to(torch.int32), weights.to(torch.float32)


def check_counts(experts, top_k, fused_shared):
    """Refuse what leaves a token without enough experts to choose from."""
    if fused_shared > top_k:
        raise RequestError("bad_request", f"fused_shared_experts must be at most top_k, {top_k}, not {fused_shared}")
    if top_k > experts:
        raise RequestError("bad_request", f"shape: top_k must be at most experts, {experts}, not {top_k}")
