"""A process that outlives the worker by a moment, to kill what it left running.

Children of a process killed with SIGKILL live on, and so do the assemblers they run.
The guardian is told of every process group through a pipe, and the pipe closes
however the worker dies; then it kills the groups and removes the scratch folder.
"""

import os
import shutil
import signal
from contextlib import suppress


class Guardian:
    def __init__(self, scratch):
        read_end, self._fd = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._fd)
            _keep_watch(read_end, scratch)
        os.close(read_end)

    def watch(self, group):
        self._tell(f"+{group}\n")

    def forget(self, group):
        self._tell(f"-{group}\n")

    def release(self):
        """In a child: give up the pipe, or it would stay open after the worker has died."""
        os.close(self._fd)

    def dismiss(self):
        """Close the pipe and wait until the guardian has cleaned up."""
        os.close(self._fd)
        os.waitpid(self._pid, 0)

    def _tell(self, line):
        os.write(self._fd, line.encode())


def _keep_watch(read_end, scratch):
    """The guardian's whole life; it never returns to the worker's code."""
    try:
        # Out of the terminal's reach: an interrupt is for the worker, which then closes the pipe.
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        silence = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(silence, standard)
        groups = set()
        with os.fdopen(read_end) as orders:
            for order in orders:
                group = int(order[1:])
                if order.startswith("+"):
                    groups.add(group)
                else:
                    groups.discard(group)
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os._exit(0)
