"""What a `prepare` leaves behind for every `measure`: operands, routings, alignments, and what was checked."""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from spark_worker.alignment import align
from spark_worker.launcher import Launch
from spark_worker.reference import Reference, is_wrong, relative_error, tolerance
from spark_worker.routing import Routing

# Enough for several blocks of one expert under a skewed routing, few enough to multiply in float32.
_CHECKED_TOKENS = 32
_CHECKED_ROUTING = Routing("skewed", 0)
_ROUTINGS_KEPT = 32


class ArmFailed(Exception):
    """An arm cannot be timed; the device is none the worse for it."""

    def __init__(self, outcome, message):
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Routed:
    """One batch on its way to its experts, and the alignments made of it so far."""

    ids: Any
    weights: Any
    alignments: dict

    @property
    def tokens(self):
        return len(self.ids)


class Prepared:
    """Everything that outlives a measure request."""

    def __init__(self, torch, stage, launcher, inputs, *, runtime, fused_shared, activate):
        self.stage = stage
        self.shape = inputs.shape
        self.max_tokens = inputs.max_tokens
        self._launcher = launcher
        self.inputs = inputs
        self._runtime = runtime
        self._fused_shared = fused_shared
        self._activate = activate
        # Kernels that no cache had.
        self.compiled = 0
        launcher.triton.knobs.compilation.listener = self._count
        self._routed = OrderedDict()
        self._checked_routed = self._draw(_CHECKED_ROUTING, min(_CHECKED_TOKENS, inputs.max_tokens))
        self._reference = Reference(torch, inputs, self._checked_routed.ids, self._checked_routed.weights)
        self._checked = {}

    def _count(self, *, cache_hit, **_):
        self.compiled += not cache_hit

    def routed(self, routing, tokens):
        key = (routing, tokens)
        if key not in self._routed:
            self._routed[key] = self._draw(routing, tokens)
            if len(self._routed) > _ROUTINGS_KEPT:
                self._routed.popitem(last=False)
        return self._routed[key]

    def steps(self, arm, routed, sized_for):
        """(what to compile, what to run in turn) for one run of `arm`."""
        launches = {role: self._launch(arm, role, routed, sized_for) for role in arm.configs}
        if arm.role != "path":
            return list(launches.values()), list(launches.values())
        rows = routed.ids.numel()
        up, activated = self.inputs.operands["up"].c[:rows], self.inputs.activated[:rows]
        return list(launches.values()), [launches["up"], lambda: self._activate(up, activated), launches["down"]]

    def check(self, arm, sized_for):
        """Raise ArmFailed unless the kernel multiplies rightly; each tile is asked once."""
        if arm.tile not in self._checked:
            self._checked[arm.tile] = self._error_of(arm, sized_for)
        error = self._checked[arm.tile]
        if is_wrong(error, self.shape.dtype):
            limit = tolerance(self.shape.dtype)
            raise ArmFailed("wrong_result", f"relative error {error:g} against float32, {limit:g} allowed")

    def _error_of(self, arm, sized_for):
        _, steps = self.steps(arm, self._checked_routed, sized_for)
        pairs = self._checked_routed.ids.numel()
        outputs = [operands.c[:pairs] for operands in self.inputs.operands.values()]
        for output in (*outputs, self.inputs.activated[:pairs]):
            # What a kernel leaves out must not be taken from an earlier one's output.
            output.fill_(math.nan)
        for step in steps:
            step()
        self.stage.synchronize()
        role = "down" if arm.role == "path" else arm.role
        return relative_error(self.inputs.operands[role].c[:pairs], self._reference.of(arm.role))

    def _launch(self, arm, role, routed, sized_for):
        operands = self.inputs.operands[role]
        if arm.role == "path" and role == "down" and operands.a_scale is None:
            # Quantised activations stand ready instead: SGLang quantises them in a kernel of its
            # own, which is no part of what is tuned.
            operands = replace(operands, a=self.inputs.activated)
        block = arm.block_m
        if block not in routed.alignments:
            alignment = align(routed.ids.cpu(), block, self.shape.experts, self._runtime)
            routed.alignments[block] = replace(
                alignment, **{name: tensor.to(self.stage.device) for name, tensor in vars(alignment).items()}
            )
        return Launch(
            self._launcher,
            role,
            arm.configs[role],
            operands=operands,
            routed=routed,
            alignment=routed.alignments[block],
            sized_for=sized_for,
        )

    def _draw(self, routing, tokens):
        drawn = routing.draw(tokens, self.shape.experts, self.shape.top_k, self._fused_shared)
        return Routed(*(tensor.to(self.stage.device) for tensor in drawn), alignments={})
