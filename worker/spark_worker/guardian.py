"""A process that outlives the worker by a moment, to kill what it left running.

Children of a process killed with SIGKILL live on, and so do the assemblers they run.
The guardian is told of every process group through a pipe, and the pipe closes
however the worker dies; then it kills the groups and removes the scratch folder.

It holds the leash as well: it is told whenever the worker hears its owner, and kills the
worker that has not for too long. A worker ends itself first, unless it is stuck in a write
that nobody reads, in a driver or in a fork.
"""

import os
import select
import shutil
import signal
import time
from contextlib import suppress

# What a worker that is not stuck gets for ending by itself once its leash is over.
_GRACE_S = 2.0


class Guardian:
    def __init__(self, scratch):
        read_end, self._fd = os.pipe()
        worker = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._fd)
            _keep_watch(read_end, scratch, worker)
        os.close(read_end)

    def watch(self, group):
        self._tell(f"+{group}\n")

    def forget(self, group):
        self._tell(f"-{group}\n")

    def leash(self, seconds):
        """From now on, kill a worker that has not `heard` for so long."""
        self._tell(f"={seconds}\n")

    def heard(self):
        self._tell("!\n")

    def release(self):
        """In a child: give up the pipe, or it would stay open after the worker has died."""
        os.close(self._fd)

    def dismiss(self):
        """Close the pipe and wait until the guardian has cleaned up."""
        os.close(self._fd)
        os.waitpid(self._pid, 0)

    def _tell(self, line):
        os.write(self._fd, line.encode())


def _keep_watch(read_end, scratch, worker):
    """The guardian's whole life; it never returns to the worker's code."""
    try:
        # Out of the terminal's reach: an interrupt is for the worker, which then closes the pipe.
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        silence = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(silence, standard)
        for group in _listen(read_end, worker):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os._exit(0)


def _listen(read_end, worker):
    """The groups that are left when the worker has died or its leash is over; then it is killed."""
    groups, leash, heard, partial = set(), None, time.monotonic(), b""
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    while True:
        left = None if leash is None else heard + leash + _GRACE_S - time.monotonic()
        if left is not None and left <= 0:
            # While it is our parent the number is its own.
            if os.getppid() == worker:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            return groups
        if not poll.poll(None if left is None else 1000 * left):
            continue
        chunk = os.read(read_end, 65536)
        if not chunk:
            return groups
        *orders, partial = (partial + chunk).split(b"\n")
        for order in orders:
            kind, value = order[:1], order[1:]
            if kind == b"+":
                groups.add(int(value))
            elif kind == b"-":
                groups.discard(int(value))
            else:
                heard = time.monotonic()
                leash = float(value) if kind == b"=" else leash
