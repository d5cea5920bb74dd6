"""One compile request under way: units waiting, units running, what came of the rest."""

import time

from spark_worker.children import Child
from spark_worker.compiler import Compiler, Unit
from spark_worker.config import Config, InvalidConfig
from spark_worker.fields import field, seconds
from spark_worker.installed import cpus
from spark_worker.kernel_source import find_kernel
from spark_worker.protocol import RequestError
from spark_worker.shape import ROLES, Shape

_DEFAULT_TIMEOUT_S = 120


class Batch:
    """Raises RequestError where the request as a whole cannot be compiled."""

    def __init__(self, request, events, scratch, guardian):
        self.id = request["id"]
        self._events = events
        self._scratch = scratch
        self._guardian = guardian
        self._jobs = field(request, "jobs", int, default=cpus(), minimum=1)
        self._timeout_s = seconds(request, "timeout_s", _DEFAULT_TIMEOUT_S)
        entries = [_entry(source) for source in field(request, "units", list)]
        self._compiler = _compiler(request)
        self._counts = {"compiled": 0, "failed": 0}
        self._cpu_seconds = 0.0
        self._running = {}
        self._waiting = []
        self._started = None
        self._refused = []
        for name, role, config in entries:
            try:
                self._waiting.append(Unit(name, role, Config.from_entry(config)))
            except InvalidConfig as error:
                self._refused.append((name, str(error)))
        # Slow ones first, so that the last to end is a quick one and no processor waits long
        # (the list is taken from its end).
        self._waiting.sort(key=lambda unit: unit.config.compile_cost)

    @property
    def children(self):
        return self._running.keys()

    @property
    def finished(self):
        return self._started is not None and not self._waiting and not self._running

    def start_more(self):
        """Fill the free places; yields each child started."""
        if self._started is None:
            self._started = time.monotonic()
            for name, message in self._refused:
                self._report(name, {"outcome": "failed", "reason": "invalid_config", "message": message}, 0.0)
        while self._waiting and len(self._running) < self._jobs:
            unit = self._waiting.pop()
            child = Child(lambda: self._compiler.compile(unit), self._scratch, self._guardian, self._timeout_s)
            self._running[child] = unit
            yield child

    def collect(self, child):
        """A child has ended by itself: report its unit."""
        self._conclude(child, lambda ending: ending.answer or _failed("compiler_crash", ""))

    def expire(self, child):
        """A child has used up its time: kill it and report its unit."""
        child.kill()
        self._conclude(child, lambda _: _failed("timeout", f"still compiling after {self._timeout_s:g} s"))

    def abandon(self):
        """Kill what runs and drop what waits, without reporting any of it."""
        for child in self._running:
            child.kill()
        for child in self._running:
            self._cpu_seconds += child.reap().cpu_seconds
        self._running.clear()
        self._waiting.clear()

    def report_done(self, **fields):
        wall = time.monotonic() - self._started if self._started is not None else 0.0
        self._events.done(
            self.id,
            **{"ok": True, **fields},
            **self._counts,
            cpu_seconds=round(self._cpu_seconds, 3),
            wall_seconds=round(wall, 3),
        )

    def _conclude(self, child, outcome_of):
        unit = self._running.pop(child)
        ending = child.reap()
        self._cpu_seconds += ending.cpu_seconds
        outcome = outcome_of(ending)
        if outcome.get("reason") == "compiler_crash":
            # What the compiler printed says more than the exception or the signal it ended with.
            outcome["message"] = ": ".join(filter(None, (outcome["message"], ending.complaint)))
        self._report(unit.name, outcome, ending.seconds)

    def _report(self, name, outcome, elapsed):
        self._counts[outcome["outcome"]] += 1
        self._events.answer(self.id, "compiled", unit=name, **outcome, seconds=round(elapsed, 3))


def _compiler(request):
    target = field(request, "target", dict)
    shape = Shape.from_request(field(request, "shape", dict))
    source = find_kernel(field(request, "sglang_root", str, default=None))
    capability = field(target, "capability", int, minimum=1)
    return Compiler(source, capability, field(target, "arch", str), shape)


def _entry(source):
    if not isinstance(source, dict):
        raise RequestError("bad_request", f"a unit must be an object, not {source!r}")
    role = field(source, "role", str, choices=ROLES)
    return field(source, "unit", str), role, field(source, "config", dict)


def _failed(reason, message):
    return {"outcome": "failed", "reason": reason, "message": message}
