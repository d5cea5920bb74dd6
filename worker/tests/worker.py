"""A worker process under test, spoken to as its owner would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

GLM = {
    "experts": 160,
    "intermediate": 384,
    "hidden": 5120,
    "top_k": 8,
    "dtype": "fp8_w8a8",
    "block_shape": None,
    "per_channel": True,
    "gated": True,
}
GB10 = {"arch": "sm_121a", "capability": 121}
# Quick to compile, and one that takes tens of seconds: for tests that interrupt it.
QUICK = (16, 32, 64, 4, 2)
SLOW = (256, 256, 256, 4, 5)


def config(block_m, block_n, block_k, warps, stages):
    return {
        "BLOCK_SIZE_M": block_m,
        "BLOCK_SIZE_N": block_n,
        "BLOCK_SIZE_K": block_k,
        "GROUP_SIZE_M": 1,
        "num_warps": warps,
        "num_stages": stages,
    }


def unit(name, tile, role="up", **more):
    return {"unit": name, "role": role, "config": {**config(*tile), **more}}


def alive(pid):
    """Whether a process is still at work; one that only waits for its parent's notice is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition, seconds=10):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


class Worker:
    def __init__(self, *command, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(command or ["spark_worker"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_PACKAGE,
            env={**os.environ, **environment},
        )
        self.hello = self.next()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def send(self, **request):
        self.send_line(json.dumps(request))

    def send_line(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def next(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def until_done(self, request_id):
        """Every event up to and with the `done` of a request."""
        events = []
        while not events or (events[-1]["event"], events[-1].get("id")) != ("done", request_id):
            event = self.next()
            assert event is not None, f"the worker ended: {self.process.stderr.read().decode()}"
            events.append(event)
        return events

    def call(self, **request):
        self.send(**request)
        return self.until_done(request["id"])

    def descendants(self):
        """The process ids below the worker, found through the parents that /proc states."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    # The name, in brackets, may itself hold spaces and brackets.
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents[int(entry.name)] = int(after_name[1])
        found, grown = {self.process.pid}, True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grown = bool(more)
        return found - {self.process.pid}

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
