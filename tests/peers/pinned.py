#!/usr/bin/env python3
"""Run a command on one core and say what it cost.

    pinned.py --core 1 --log FILE -- COMMAND [ARGUMENT ...]

Prints one JSON object: `cpu_s` (user and system time of the command and all its descendants), `peak_kb`,
`wall_s` and `code`. The command's own output goes to the log.

A process of its own, because the kernel's account of ended children (RUSAGE_CHILDREN) is one sum: only here
is it the command's alone.
"""

import argparse
import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_EVERY_S = 0.2


def main() -> int:
    options = parse_arguments()
    # Descendants whose parent has gone come to us, so that their time counts, too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.perf_counter()
    command = start(options.command, options.core, options.log)
    # Whoever stops us means the command.
    signal.signal(signal.SIGTERM, lambda *_: stop_children())
    memory = MemoryWatch()
    memory.start()
    _, status = os.waitpid(command, 0)
    wall = time.perf_counter() - started
    memory.stop()
    reap_stragglers()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {
        "cpu_s": used.ru_utime + used.ru_stime,
        # The watch may miss a short peak of a single process; the kernel does not. It knows no sums, though.
        "peak_kb": max(memory.peak_kb, used.ru_maxrss),
        "wall_s": wall,
        "code": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(said))
    return 0


def start(command: list[str], core: int, log: Path) -> int:
    """The command's process id."""
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    child = os.fork()
    if child:
        os.close(sink)
        return child
    try:
        os.sched_setaffinity(0, {core})
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(127)


class MemoryWatch(threading.Thread):
    """The most memory that all descendants had at once: proportional shares, so shared pages count once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_kb = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(SAMPLE_EVERY_S):
            self.peak_kb = max(self.peak_kb, sum(map(share_kb, descendants(os.getpid()))))

    def stop(self) -> None:
        self.over.set()
        self.join()


def descendants(process: int) -> list[int]:
    found: list[int] = []
    todo = [process]
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def children(process: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        pass  # It has ended meanwhile.
    return found


def share_kb(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # It has ended meanwhile.
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def stop_children() -> None:
    for child in descendants(os.getpid()):
        try:
            os.kill(child, signal.SIGTERM)
        except ProcessLookupError:
            pass


def reap_stragglers(patience_s: float = 5) -> None:
    """Wait for descendants that outlived the command, and end those that do not end."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            continue
        if time.monotonic() > deadline:
            stop_children()
            deadline += patience_s
        time.sleep(0.05)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, required=True, help="the core the command may use")
    parser.add_argument("--log", type=Path, required=True, help="where its output goes")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
