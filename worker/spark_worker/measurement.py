"""Times arms on one batch, in the order asked for."""

import math
import time

from spark_worker.arms import arms_of, order_of
from spark_worker.compiler import classify
from spark_worker.fields import field
from spark_worker.prepared import ArmFailed
from spark_worker.protocol import RequestError
from spark_worker.routing import Routing


class DeviceLost(Exception):
    """CUDA reports this error for everything from here on: only another process can go on."""


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
        self._warm_up = field(request, "warm_up", int, default=1, minimum=0)
        self._limit = _positive(request, "abort_above_us")
        if any(arm.role == "path" for arm in self._arms) and not prepared.shape.gated:
            raise RequestError("bad_request", "arms: a path goes through silu-and-mul, and this shape has no gate")

    def run(self):
        """The fields of `done`."""
        compiled_before = self._prepared.compiled
        # All of them first: between two timed runs there is then nothing but the flush.
        records = self._make_ready()
        # Whatever hangs from here on hangs in a timed run.
        self._emit("ready")
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
            "compiled": self._prepared.compiled - compiled_before,
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
        try:
            for launch in launches:
                self._compile(launch)
            prepared.check(arm, self._batch_size)
            # The warm-up: not timed, and it leaves nothing to load when the run is recorded. A first
            # look goes without: it would cost as much as the look itself.
            for _ in range(self._warm_up):
                for step in steps:
                    step()
            self._stage.synchronize()
        except Exception as error:
            if _is_out_of_resources(error):
                raise ArmFailed("out_of_resources", str(error)) from error
            raise
        return self._stage.record(lambda: [step() for step in steps])

    def _compile(self, launch):
        try:
            launch.compile()
        except Exception as error:
            if _is_out_of_resources(error):
                raise
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


def _is_out_of_resources(error):
    """By name, because where Triton keeps its exceptions is its own affair."""
    return any(kind.__name__ == "OutOfResources" for kind in type(error).__mro__)


def _positive(request, name):
    value = request.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise RequestError("bad_request", f"{name} must be a positive number or null, not {value!r}")
    return value
