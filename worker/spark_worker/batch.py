"""One compile request under way: units waiting, units running, what came of the rest."""

import errno
import shutil
import time

from spark_worker import toolchain
from spark_worker.children import Child
from spark_worker.compiler import Compiler, Unit
from spark_worker.config import Config, InvalidConfig
from spark_worker.fields import field, seconds
from spark_worker.installed import cpus
from spark_worker.kernel_source import find_kernel
from spark_worker.protocol import RequestError
from spark_worker.shape import ROLES, Shape

_DEFAULT_TIMEOUT_S = 120
# A compiler that crashed and left no more room than this may have crashed for want of it.
_ROOM_BYTES = 16 << 20


class Batch:
    """Raises RequestError where the request as a whole cannot be compiled.

    Each unit is compiled in a process of its own; subclasses do something else with it there.
    """

    # What is being done with a unit, and what it is when that is done: also the name of the event.
    doing, done = "compiling", "compiled"

    def __init__(self, request, events, scratch, guardian):
        self.id = request["id"]
        self._events = events
        self._scratch = scratch
        self._guardian = guardian
        self._jobs = field(request, "jobs", int, default=cpus(), minimum=1)
        self._timeout_s = seconds(request, "timeout_s", _DEFAULT_TIMEOUT_S)
        units, self._refused = _sort_out(field(request, "units", list))
        # Slow ones first, so that the last to end is a quick one and no processor waits long
        # (the list is taken from its end).
        self._waiting = sorted(units, key=lambda unit: unit.config.compile_cost)
        self._running = {}
        self._cache_dir = self._place(request)
        self._compiler = _compiler(request, for_launching=self._cache_dir is not None)
        self._counts = {self.done: 0, "failed": 0}
        self._cpu_seconds = 0.0
        self._started = None

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
                self._report(name, failed("invalid_config", message), 0.0)
        while self._waiting and len(self._running) < self._jobs:
            unit = self._waiting.pop()
            try:
                child = Child(lambda: self._carry_out(unit), self._scratch, self._guardian, self._timeout_s)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise self._disk_full(str(error)) from error
            self._running[child] = unit
            yield child

    def collect(self, child):
        """A child has ended by itself: report its unit.

        Raises RequestError where the disk is to blame: what crashed for want of room says nothing of its kernel.
        """
        unit, ending = self._end(child)
        outcome = ending.answer or failed("compiler_crash", "")
        if outcome.get("reason") == "compiler_crash":
            # What the compiler printed says more than the exception or the signal it ended with.
            message = ": ".join(filter(None, (outcome["message"], ending.complaint)))
            if shutil.disk_usage(self._scratch).free < _ROOM_BYTES:
                raise self._disk_full(message)
            outcome["reason"], outcome["message"] = self._compiler.explain_crash(message)
        self._report(unit.name, outcome, ending.seconds)

    def expire(self, child):
        """A child has used up its time: kill it and report its unit."""
        child.kill()
        unit, ending = self._end(child)
        outcome = failed("timeout", f"still {self.doing} after {self._timeout_s:g} s")
        self._report(unit.name, outcome, ending.seconds)

    def abandon(self):
        """Kill what runs and drop what waits, without reporting any of it."""
        for child in self._running:
            child.kill()
        for child in list(self._running):
            self._end(child)
        self._waiting.clear()

    def report_done(self, ok=True, **fields):
        wall = time.monotonic() - self._started if self._started is not None else 0.0
        self._events.done(
            self.id,
            ok,
            **fields,
            **self._counts,
            cpu_seconds=round(self._cpu_seconds, 3),
            wall_seconds=round(wall, 3),
        )

    def _disk_full(self, message):
        return RequestError("disk_full", f"the disk of {self._scratch} is full: {message}")

    def _place(self, request):
        """The folder in which binaries are kept, if they are."""
        return field(request, "cache_dir", str, default=None)

    def _carry_out(self, unit):
        """In the child: the fields of what came of it."""
        if self._cache_dir is not None:
            toolchain.keep_binaries(self._cache_dir)
        return self._compiler.compile(unit)

    def _end(self, child):
        unit, ending = self._running.pop(child), child.reap()
        self._cpu_seconds += ending.cpu_seconds
        return unit, ending

    def _report(self, name, outcome, elapsed):
        self._counts[outcome["outcome"]] += 1
        self._events.answer(self.id, self.done, unit=name, **outcome, seconds=round(elapsed, 3))


def _compiler(request, for_launching):
    target = field(request, "target", dict)
    shape = Shape.from_request(field(request, "shape", dict))
    source = find_kernel(field(request, "sglang_root", str, default=None))
    capability = field(target, "capability", int, minimum=1)
    return Compiler(source, capability, field(target, "arch", str), shape, for_launching)


def _sort_out(entries):
    """The units to compile, and (name, why) of those whose config needs no compiler to be refused."""
    units, refused = [], []
    for entry in entries:
        if not isinstance(entry, dict):
            raise RequestError("bad_request", f"a unit must be an object, not {entry!r}")
        name = field(entry, "unit", str)
        role = field(entry, "role", str, choices=ROLES)
        try:
            config = Config.from_entry(field(entry, "config", dict))
        except InvalidConfig as error:
            refused.append((name, str(error)))
            continue
        units.append(Unit(name, role, config, field(entry, "batch_size", int, default=1, minimum=1)))
    return units, refused


def failed(reason, message):
    return {"outcome": "failed", "reason": reason, "message": message}
