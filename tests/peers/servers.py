"""Servers under load, started here and stopped here, on the loopback interface."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

START_S = 60


class Server:
    """A process that answers HTTP, for the length of a `with`."""

    def __init__(
        self,
        command: Callable[[int], Iterable[str]],
        log: Path,
        core: int | None = None,
        environment: dict[str, str] | None = None,
        start_s: float = START_S,
    ) -> None:
        """`command` makes the command line for a port."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [str(word) for word in command(self.port)]
        self.log = log
        self.core = core
        self.environment = {**os.environ, **(environment or {})}
        self.start_s = start_s
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        def pin() -> None:
            if self.core is not None:
                os.sched_setaffinity(0, {self.core})

        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                self.command,
                stdout=sink,
                stderr=sink,
                env=self.environment,
                preexec_fn=pin,
                # A group of its own, so that none of a server's processes can outlive it.
                start_new_session=True,
            )
        try:
            self.wait_until_healthy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + self.start_s
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                self.ask("GET", "/health")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.command[0]} does not serve; its log is {self.log}:\n{tail(self.log)}")

    def ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


class Mock(Server):
    """`sparkbench mock`, which knows when every token really left it."""

    def __init__(self, sparkbench: Path, flags: list[str], log: Path, core: int | None = None) -> None:
        super().__init__(lambda port: [str(sparkbench), "mock", f"--port={port}", *flags], log, core)

    def reset(self) -> None:
        self.ask("POST", "/mock/reset")

    def truth(self) -> dict:
        return json.loads(self.ask("GET", "/mock/truth"))


def stop_with_us() -> None:
    """Let SIGTERM end this program as Ctrl-C does: what it started is stopped on the way out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tail(file: Path, lines: int = 12) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
