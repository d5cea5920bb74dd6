"""A worker that replays: it compiles nothing and times nothing, and speaks the real protocol in the real service.

For tests of measuring on several nodes where no node has a GPU. Imported by `replay.pth` before `-m spark_worker` runs.
A kernel allocates what the shared-memory rule says of bf16. A config takes what a table says: every tile has a place of
its own and is 4 % slower than the one before it, and so is a GROUP_SIZE_M than its neighbour nearer the best. The node's own clock
(REPLAY_CLOCK) and drift (REPLAY_DRIFT, the share by which times swing within ten seconds) come on top, and noise that
depends on the question alone, so that it is the same wherever it is asked. The kernel that REPLAY_KILLER names takes its worker along.

A binary is a file that names its kernel. Nothing is timed whose binary is not in the folder it is launched from.
"""

import hashlib
import json
import math
import os
import random
import time
from itertools import product
from pathlib import Path

from spark_worker import service

_CLOCK = float(os.environ.get("REPLAY_CLOCK", "1"))
_DRIFT = float(os.environ.get("REPLAY_DRIFT", "0"))
_DRIFT_PERIOD_S = 10.0
_KILLER = os.environ.get("REPLAY_KILLER")
# What a round takes, whatever it asks: enough for tests to come in between.
_ROUND_S = 0.02
_TILES = list(product((16, 32, 64, 128, 256), (32, 64, 128, 256), (64, 128, 256), (4, 8), (2, 3, 4, 5)))
_GROUPS = (1, 16, 32, 64)


def _swing():
    return math.sin(2 * math.pi * time.time() / _DRIFT_PERIOD_S)


def _digest(*parts):
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "big")


def _tile(config):
    names = ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps", "num_stages")
    return tuple(config[name] for name in names)


class _Table:
    """Microseconds of one role at one batch size."""

    def __init__(self, batch_size, role):
        ranked = sorted(_TILES, key=lambda tile: _digest(batch_size, role, tile))
        self._place = {tile: place for place, tile in enumerate(ranked)}
        self._best_group = {tile: _digest(batch_size, role, "group", tile) % len(_GROUPS) for tile in ranked}

    def time_us(self, config):
        tile = _tile(config)
        # The runtime's default may lie outside the space.
        place = min(self._place.get(tile, 60), 60)
        group = config["GROUP_SIZE_M"]
        steps = abs(_GROUPS.index(group) - self._best_group.get(tile, 0)) if group in _GROUPS else 0
        return 50.0 * 1.04 ** (place + steps)


class _Binaries:
    """The binaries in a folder."""

    def __init__(self, folder):
        self._folder = Path(folder)

    def _file(self, role, config):
        return self._folder / "-".join(map(str, (role, *_tile(config))))

    def has(self, role, config):
        return self._file(role, config).exists()

    def content(self, unit):
        return f"a replay of {self._file(unit['role'], unit['config']).name}"

    def keep(self, unit, content):
        assert content == self.content(unit), f"{content} is no binary of {unit}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(unit["role"], unit["config"]).write_text(content)

    def read(self, unit):
        return self._file(unit["role"], unit["config"]).read_text()


class _Replay:
    def __init__(self, own):
        self._own = own
        self._tables = {}
        self._launched = None

    def compile(self, request):
        events, request_id = self._own._events, request["id"]
        for unit in request["units"]:
            if unit["unit"] == _KILLER:
                os._exit(9)
            if "cache_dir" in request:
                binaries = _Binaries(request["cache_dir"])
                binaries.keep(unit, binaries.content(unit))
            m, n, k, _, stages = _tile(unit["config"])
            events.answer(
                request_id,
                "compiled",
                unit=unit["unit"],
                outcome="compiled",
                shared_bytes=2 * (m + n) * k * (stages - 1),
                registers=128,
                spill_bytes=0,
                seconds=0.0,
                binary_sha256="0" * 64,
            )
        events.done(request_id, ok=True)

    def device(self, request):
        self._own._events.answer(
            request["id"],
            "device",
            name="NVIDIA GB10",
            capability=121,
            shared_memory_per_block=101376,
            driver="a replay, no GPU",
        )
        self._own._events.done(request["id"], ok=True)

    def give(self, request):
        events, binaries = self._own._events, _Binaries(request["cache_dir"])
        made_with = dict(kernel="replay", triton="replay", arch="replay", key="replay")
        for unit in request["units"]:
            content = binaries.read(unit)
            digest = hashlib.sha256(content.encode()).hexdigest()
            binary = {**made_with, "content": content, "sha256": digest}
            events.answer(request["id"], "given", unit=unit["unit"], outcome="given", binary=binary)
        events.done(request["id"], ok=True)

    def take(self, request):
        events, binaries = self._own._events, _Binaries(request["cache_dir"])
        for unit in request["units"]:
            binaries.keep(unit, unit["binary"]["content"])
            events.answer(request["id"], "taken", unit=unit["unit"], outcome="taken")
        events.done(request["id"], ok=True)

    def prepare(self, request):
        self._launched = _Binaries(request["cache_dir"])
        self._own._events.done(request["id"], ok=True)

    def measure(self, request):
        events, request_id = self._own._events, request["id"]
        asked = {name: value for name, value in request.items() if name != "id"}
        noise = random.Random(_digest(asked))
        limit, out = request["abort_above_us"], set()
        for arm in request["arms"]:
            for role in ("up", "down") if arm["role"] == "path" else (arm["role"],):
                config = arm[role] if arm["role"] == "path" else arm["config"]
                assert self._launched.has(role, config), f"{role} {config} would be compiled here, and now"
        events.answer(request_id, "ready")
        time.sleep(_ROUND_S)
        for index in request["order"]:
            ratio = math.exp(noise.gauss(0, 0.01))
            if index in out:
                continue
            drift = 1 + _DRIFT * _swing()
            time_us = self._usual_us(request["batch_size"], request["arms"][index]) * ratio * drift * _CLOCK
            events.answer(request_id, "timed", arm=index, time_us=round(time_us, 3))
            if limit is not None and time_us > limit:
                out.add(index)
                events.answer(request_id, "aborted", arm=index)
        events.done(request_id, ok=True, **self._state())

    def _state(self):
        """What a GPU with this clock and drift would tell: slower is a lower clock, and at its slowest it says why."""
        swing = _swing()
        return {
            "clock_mhz": round(2400.0 / (_CLOCK * (1 + _DRIFT * swing)), 1),
            "temperature_c": round(60.0 + 10.0 * swing, 1),
            "throttle": ["a replay's swing"] if _DRIFT and swing > 0.8 else [],
        }

    def _usual_us(self, batch_size, arm):
        if arm["role"] == "path":
            return sum(self._table(batch_size, role).time_us(arm[role]) for role in ("up", "down"))
        return self._table(batch_size, arm["role"]).time_us(arm["config"])

    def _table(self, batch_size, role):
        if (batch_size, role) not in self._tables:
            self._tables[batch_size, role] = _Table(batch_size, role)
        return self._tables[batch_size, role]


def _install():
    begin = service.Service.__init__

    def init(self, *arguments):
        begin(self, *arguments)
        replay = _Replay(self)
        for name in ("compile", "give", "take", "device", "prepare", "measure"):
            self._operations[name] = getattr(replay, name)

    service.Service.__init__ = init


_install()
