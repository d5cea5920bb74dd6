"""Running one client on one core, and the flags the programs here share."""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import fetched
import peers
import servers

# What one client may take for one load.
LIMIT_S = 600
# A mock that is later than this (p99) shared its core with somebody: what was measured then is about the machine.
DISTURBED_MS = 10.0
ATTEMPTS = 3


class Failed(Exception):
    """A client that did not do what it was asked, and what it said."""


def run_undisturbed(
    peer: peers.Peer, load: peers.Load, mock: servers.Mock, out: Path, core: int
) -> tuple[dict, peers.Said, dict, Path]:
    """As `run_pinned`, with the mock's truth and the folder: of the first run in which the mock kept its times, else of
    the one in which it did best. The client has no part in that choice."""
    runs = []
    for attempt in range(ATTEMPTS):
        folder = out.with_name(f"{out.name}-{attempt}")
        mock.reset()
        cost, said = run_pinned(peer, load, mock, folder, core)
        runs.append((cost, said, mock.truth(), folder))
        late = lateness(runs[-1][2])
        if late <= DISTURBED_MS:
            break
        fetched.say(f"  the mock was {late:.0f} ms late (p99): attempt {attempt + 1} of {ATTEMPTS}")
    return min(runs, key=lambda run: lateness(run[2]))


def lateness(truth: dict) -> float:
    return truth["lateness_ms"]["p99"]


def run_pinned(
    peer: peers.Peer, load: peers.Load, server: servers.Server, out: Path, core: int
) -> tuple[dict, peers.Said]:
    """What a client's run cost (as pinned.py says it), and what it reports. All requests were answered whole."""
    out.mkdir(parents=True)
    log = out / "log"
    command = peer.command(load, server.url, out)
    watcher = [sys.executable, str(fetched.HERE / "pinned.py"), f"--core={core}", f"--log={log}", "--", *command.argv]
    environment = {**os.environ, **command.environment, "NO_COLOR": "1"}
    process = subprocess.Popen(watcher, stdout=subprocess.PIPE, text=True, env=environment, cwd=out)
    try:
        printed, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate()
        raise Failed(f"{peer.title}: not done within {LIMIT_S} s") from None
    if process.returncode:
        raise Failed(f"{peer.title}: pinned.py ended with {process.returncode}")
    cost = json.loads(printed)
    if cost["code"]:
        raise Failed(f"{peer.title} ended with {cost['code']}:\n{servers.tail(log)}")
    try:
        said = peer.read(out)
    except (OSError, KeyError, ValueError) as error:
        raise Failed(f"{peer.title}: its result does not read ({error!r}):\n{servers.tail(log)}") from None
    if said.completed != load.requests:
        raise Failed(f"{peer.title}: {said.completed} of {load.requests} requests were completed")
    if said.output_tokens != load.requests * load.output_tokens:
        asked = load.requests * load.output_tokens
        raise Failed(f"{peer.title}: {said.output_tokens} tokens counted, {asked} asked for")
    return cost, said


def allow_many_connections() -> None:
    """Ten thousand streams are as many descriptors at each end; children inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    cores = sorted(os.sched_getaffinity(0))
    root = fetched.HERE.parent.parent
    parser.add_argument("--sparkbench", type=Path, default=root / "target/release/sparkbench", metavar="FILE")
    parser.add_argument("--mock-core", type=int, default=cores[0], metavar="CORE", help=f"[default: {cores[0]}]")
    parser.add_argument("--client-core", type=int, default=cores[-1], metavar="CORE", help=f"[default: {cores[-1]}]")


def check_shared_flags(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    options.sparkbench = options.sparkbench.resolve()
    if not options.sparkbench.exists():
        parser.error(f"--sparkbench: no file {options.sparkbench}; `cargo build --release` makes it")
    if options.mock_core == options.client_core:
        parser.error("--client-core: the mock and the client need a core each")


def listed(parser: argparse.ArgumentParser, flag: str, given: str, names: list[str]) -> list[str]:
    """The words of a list flag, each of `names`."""
    words = [word.strip() for word in given.split(",") if word.strip()]
    for word in words:
        if word not in names:
            parser.error(f"{flag}: {word} is none of {', '.join(names)}")
    return words
