"""Prepares operands once and times kernels on them. All of it runs in the process of `gpu_process`."""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from spark_worker import toolchain
from spark_worker.activation import silu_and_mul
from spark_worker.alignment import RUNTIMES, align
from spark_worker.arms import arms_of, order_of
from spark_worker.compiler import classify
from spark_worker.fields import field
from spark_worker.inputs import Inputs
from spark_worker.kernel_source import find_kernel
from spark_worker.launcher import Launch, Launcher
from spark_worker.protocol import RequestError
from spark_worker.reference import Reference, is_wrong, relative_error, tolerance
from spark_worker.routing import Routing, check_counts
from spark_worker.shape import Shape

_MOST_TOKENS = 4096
# Enough for several blocks of one expert under a skewed routing, few enough to multiply in float32.
_CHECKED_TOKENS = 32
_CHECKED_ROUTING = Routing("skewed", 0)
_ROUTINGS_KEPT = 32


class ArmFailed(Exception):
    """An arm cannot be timed; the device is none the worse for it."""

    def __init__(self, outcome, message):
        super().__init__(message)
        self.outcome = outcome


class DeviceLost(Exception):
    """CUDA reports this error for everything from here on: only another process can go on."""


@dataclass(frozen=True)
class Routed:
    """One batch on its way to its experts, and the alignments made of it so far."""

    ids: Any
    weights: Any
    alignments: dict

    @property
    def tokens(self):
        return len(self.ids)


class Bench:
    """Answers `prepare` and `measure`; what they return goes into `done`.

    `open_stage` makes of torch what kernels are run on.
    """

    def __init__(self, open_stage):
        self._open_stage = open_stage
        self._stage = None
        self._prepared = None

    def prepare(self, request, emit):
        started = time.monotonic()
        shape = Shape.from_request(field(request, "shape", dict))
        runtime = field(request, "runtime", str, choices=RUNTIMES)
        max_tokens = field(request, "max_tokens", int, default=_MOST_TOKENS, minimum=1)
        fused_shared = field(request, "fused_shared_experts", int, default=0, minimum=0)
        seed = field(request, "seed", int, default=0, minimum=0)
        cache_dir = field(request, "cache_dir", str, default=None)
        check_counts(shape.experts, shape.top_k, fused_shared)
        source = find_kernel(field(request, "sglang_root", str, default=None))
        inputs = Inputs(shape, max_tokens)
        triton, torch = toolchain.load_triton(), _load_torch()
        if cache_dir is not None:
            toolchain.launch_kept_binaries(cache_dir)
        self._prepared = None
        if self._stage is None:
            self._stage = self._open_stage(torch)
        self._stage.release()
        launcher = Launcher(triton, source, shape, self._stage.capability)
        self._allocate(torch, inputs, seed)
        activate, activation = silu_and_mul(torch, self._stage.device)
        self._prepared = _Prepared(torch, self._stage, launcher, inputs, runtime, fused_shared, activate)
        self._stage.synchronize()
        emit(
            "prepared",
            bytes=inputs.bytes,
            flush_bytes=self._stage.flush_bytes,
            torch=torch.__version__,
            triton=triton.__version__,
            sglang=source.sglang_version,
            activation=activation,
            seconds=round(time.monotonic() - started, 3),
        )

    def measure(self, request, emit):
        if self._prepared is None:
            raise RequestError("not_prepared", "measure needs a prepare that went well before it")
        return Measurement(self._prepared, request, emit).run()

    def _allocate(self, torch, inputs, seed):
        wanted = inputs.bytes + inputs.scratch_bytes
        free = self._stage.free_bytes()
        short = RequestError("out_of_memory", f"{wanted} bytes wanted, {free} free")
        if wanted > free:
            raise short
        try:
            inputs.allocate(torch, self._stage.device, seed)
        except torch.OutOfMemoryError as error:
            raise short from error


class _Prepared:
    """Everything that outlives a measure request."""

    def __init__(self, torch, stage, launcher, inputs, runtime, fused_shared, activate):
        self.stage = stage
        self.shape = inputs.shape
        self.max_tokens = inputs.max_tokens
        self._torch = torch
        self._launcher = launcher
        self._inputs = inputs
        self._runtime = runtime
        self._fused_shared = fused_shared
        self._activate = activate
        self._routed = OrderedDict()
        self._checked_routed = self._draw(_CHECKED_ROUTING, min(_CHECKED_TOKENS, inputs.max_tokens))
        self._reference = Reference(torch, inputs, self._checked_routed.ids, self._checked_routed.weights)
        self._checked = {}

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
        up, activated = self._inputs.operands["up"].c[:rows], self._inputs.activated[:rows]
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
        outputs = [operands.c[:pairs] for operands in self._inputs.operands.values()]
        for output in (*outputs, self._inputs.activated[:pairs]):
            # What a kernel leaves out must not be taken from an earlier one's output.
            output.fill_(math.nan)
        for step in steps:
            step()
        self.stage.synchronize()
        role = "down" if arm.role == "path" else arm.role
        return relative_error(self._inputs.operands[role].c[:pairs], self._reference.of(arm.role))

    def _launch(self, arm, role, routed, sized_for):
        operands = self._inputs.operands[role]
        if arm.role == "path" and role == "down" and operands.a_scale is None:
            # Quantised activations stand ready instead: SGLang quantises them in a kernel of its
            # own, which is no part of what is tuned.
            operands = replace(operands, a=self._inputs.activated)
        block = arm.block_m
        if block not in routed.alignments:
            alignment = align(routed.ids.cpu(), block, self.shape.experts, self._runtime)
            routed.alignments[block] = replace(
                alignment, **{name: tensor.to(self.stage.device) for name, tensor in vars(alignment).items()}
            )
        return Launch(
            self._launcher, role, arm.configs[role], operands, routed, routed.alignments[block], sized_for
        )

    def _draw(self, routing, tokens):
        drawn = routing.draw(tokens, self.shape.experts, self.shape.top_k, self._fused_shared)
        return Routed(*(tensor.to(self.stage.device) for tensor in drawn), alignments={})


class Measurement:
    """One measure request: its arms made ready, then timed in the order asked for."""

    def __init__(self, prepared, request, emit):
        self._prepared = prepared
        self._stage = prepared.stage
        self._emit = emit
        self._started = time.monotonic()
        self._batch_size = field(request, "batch_size", int, minimum=1)
        if self._batch_size > prepared.max_tokens:
            raise RequestError(
                "bad_request", f"batch_size must be at most max_tokens, {prepared.max_tokens}, not {self._batch_size}"
            )
        self._routing = Routing.from_request(field(request, "routing", dict))
        self._arms = arms_of(request)
        self._order = order_of(request, self._arms)
        self._limit = _positive(request, "abort_above_us")
        if any(arm.role == "path" for arm in self._arms) and not prepared.shape.gated:
            raise RequestError("bad_request", "arms: a path is measured through silu-and-mul, and this shape has no gate")

    def run(self):
        """The fields of `done`."""
        # All of them first: between two timed runs there is then nothing but the flush.
        records = self._make_ready()
        total_us = 0.0
        for index in self._order:
            if index not in records:
                continue
            time_us = self._guarded(index, lambda: self._stage.time_us(records[index]))
            if not (math.isfinite(time_us) and time_us > 0):
                raise RequestError("bad_time", f"arm {index} took {time_us} us, which is no time")
            total_us += time_us
            self._emit("timed", arm=index, time_us=round(time_us, 3))
            if self._limit is not None and time_us > self._limit:
                del records[index]
                self._emit("aborted", arm=index)
        return {
            "seconds": round(time.monotonic() - self._started, 3),
            "gpu_seconds": round(total_us / 1e6, 6),
            **self._stage.conditions(),
        }

    def _make_ready(self):
        records = {}
        # In the order in which they are first wanted, each once.
        for index in dict.fromkeys(self._order):
            self._emit("starting", arm=index)
            try:
                records[index] = self._guarded(index, lambda: self._record(self._arms[index]))
            except ArmFailed as failure:
                self._emit("arm_failed", arm=index, outcome=failure.outcome, message=str(failure))
        return records

    def _record(self, arm):
        if arm.invalid is not None:
            raise ArmFailed("compile_failed", arm.invalid)
        prepared = self._prepared
        routed = prepared.routed(self._routing, self._batch_size)
        launches, steps = prepared.steps(arm, routed, self._batch_size)
        for launch in launches:
            self._compile(launch)
        try:
            prepared.check(arm, self._batch_size)
            # The warm-up: not timed, and it leaves nothing to load when the run is recorded.
            for step in steps:
                step()
            self._stage.synchronize()
        except Exception as error:
            if _is(error, "OutOfResources"):
                raise ArmFailed("out_of_resources", str(error)) from error
            raise
        return self._stage.record(lambda: [step() for step in steps])

    def _compile(self, launch):
        try:
            launch.compile()
        except Exception as error:
            # Raises where it was the device all along that failed.
            self._stage.synchronize()
            reason, message = classify(error)
            raise ArmFailed("compile_failed", f"{reason}: {message}") from error

    def _guarded(self, index, work):
        """Whatever goes wrong on the device has gone wrong for good."""
        try:
            return work()
        except (ArmFailed, RequestError):
            raise
        except Exception as error:
            arm = self._arms[index]
            raise DeviceLost(
                f"arm {index}, {arm.entry}, at batch size {self._batch_size}: {type(error).__name__}: {error}"
            ) from error


def _is(error, name):
    """By name, because where Triton keeps its exceptions is its own affair."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _positive(request, name):
    value = request.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise RequestError("bad_request", f"{name} must be a positive number or null, not {value!r}")
    return value


def _load_torch():
    try:
        import torch
    except Exception as error:  # a broken installation raises whatever it likes
        raise RequestError("torch_missing", f"import torch: {type(error).__name__}: {error}") from error
    return torch
