"""Runs a function in a process that may crash, hang or be killed, and says how it went.

The parent has no threads, so forking it is safe, and a fork starts with Triton loaded.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOG = "log"


@dataclass
class Ending:
    """How a child ended. `answer` is what it computed, or None where it died first."""

    answer: object
    complaint: str
    seconds: float
    cpu_seconds: float


class Child:
    """A process group of its own, so that killing it takes the assembler it started along."""

    def __init__(self, task, scratch, guardian, time_limit_s):
        self._scratch = Path(tempfile.mkdtemp(dir=scratch))
        self._guardian = guardian
        self._started = time.monotonic()
        self._answer = b""
        self.deadline = self._started + time_limit_s
        self.fd, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _run(task, write_end, self._scratch, guardian)
        # Also done by the child: whichever runs first, nobody acts on a group that is not there yet.
        own_group(self.pid)
        guardian.watch(self.pid)
        os.close(write_end)

    def read(self):
        """Take in what the child has to say; False once it has ended."""
        chunk = os.read(self.fd, 65536)
        self._answer += chunk
        return bool(chunk)

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self):
        """Wait for the end, which must be near: after `read` returned False, or after `kill`."""
        # Its exit status first, unspoilt by our signal; then whatever it started and left
        # behind, while the zombie still keeps the group's number from being used again.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.kill()
        _, status, usage = os.wait4(self.pid, 0)
        self._guardian.forget(self.pid)
        os.close(self.fd)
        ending = Ending(
            answer=json.loads(self._answer) if os.waitstatus_to_exitcode(status) == 0 else None,
            complaint=_complaint(status, self._scratch / _LOG),
            seconds=time.monotonic() - self._started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
        )
        shutil.rmtree(self._scratch, ignore_errors=True)
        return ending


def own_group(pid):
    # Refused where the child was quicker and has ended already.
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)


def _run(task, write_end, scratch, guardian):
    """The child's whole life. It must not return: above it is the parent's stack."""
    status = 1
    try:
        os.setpgid(0, 0)
        guardian.release()
        log = os.open(scratch / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        forget_parent(scratch)
        answer = json.dumps(task()).encode()
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def forget_parent(scratch):
    """In a child: default signals, no core files, no input, and every file Triton writes into the scratch folder."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
    os.environ["TRITON_CACHE_DIR"] = str(scratch / "cache")


def _complaint(status, log):
    """The most telling line the child left: a compiler dying prints much, and names itself in one line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    telling = [line for line in lines if "error:" in line or "LLVM ERROR" in line or "Assertion" in line]
    code = os.waitstatus_to_exitcode(status)
    death = [f"killed by {signal.Signals(-code).name}"] if code < 0 else []
    return ": ".join(death + (telling[:1] or lines[-1:]))
