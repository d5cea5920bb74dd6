"""Programs of a node that go on when whoever started them is gone: start, find, read, end and forget them.

Input: one line of JSON {"op", "records", ...}.
Output: one line of JSON, {"answer": ...} or {"failed": {"what", "path", "errno", "message", ...}}; behind an answer of
`log` the log's bytes.

start   {"id", "argv", "directory", "set", "unset", "labels", "watch_s"}   how it began, and whether it ended at once
list    {"labels"}                those that have all these labels, running or ended
log     {"id", "lines", "follow"} the last lines, and where `follow` says so what comes until the program ends
end     {"id", "grace_s"}         SIGTERM to all that is its own, SIGKILL to what is left after so long
forget  {"id"}                    its record and its log, once nothing of it runs

A program is the child of a keeper: a process that nothing ties to the connection, that waits for the program and all it
leaves behind, and notes how it ended. All of them carry a mark in their environment, the variable `SPARKTUNE_PROGRAM`:
what has lost its record, or its keeper, is still known by it. Values of variables are in no file and no command line.

`records` is a folder for this alone, by default `sparktune/programs` below $XDG_STATE_HOME, else ~/.local/state:
  .new-ID/       a program that has not been started yet
  ID/record.json who it is and which processes are it; ID/log what it says, as long as it says
  ID/running     renamed, which takes no room on a disk, to ended-HOW-NUMBER-TIME

Standard library only, Linux, Python 3.8 and later.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time

if __name__ != "__main__":
    from .keeper import start
    from .processes import Table, lives, send
    from .records import Refused, failed, has, noted_end, read_records, records_folder, state, tail

# What SIGKILL has not ended by then waits for a device.
KILL_S = 10
POLL_S = 0.2


def list_programs(folder, order):
    records, damaged = read_records(folder)
    table, found = Table(), []
    for ident, record in records.items():
        if not has(record["labels"], order["labels"]):
            continue
        told = {key: record[key] for key in ("labels", "argv", "started_ns")}
        # Another machine, or another of us, may have forgotten it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found.append({"id": ident, **told, "state": state(record, table, records)})
    lost = {mark["id"]: mark["labels"] for mark in table.marks.values() if mark["id"] not in records}
    for ident, labels in lost.items():
        # Nothing where all that has the mark is the keeper of another program, which this one has started.
        own = table.of(ident, records)
        if own and has(labels, order["labels"]):
            running = {"running": {"pid": own[0].pid}}
            found.append({"id": ident, "labels": labels, "argv": None, "started_ns": None, "state": running})
    return {"folder": folder, "programs": found, "damaged": damaged}


def find(folder, ident):
    records, _ = read_records(folder)
    if ident not in records:
        raise Refused("none", os.path.join(folder, ident), "there is no record of such a program")
    return records[ident], records


def log(folder, order):
    record, records = find(folder, order["id"])
    path = os.path.join(record["folder"], "log")
    said, at = tail(path, order["lines"])
    answer({"answer": {}})
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
    if order["follow"]:
        follow(path, at, record, records)


def follow(path, at, record, records):
    gone = select.poll()
    gone.register(1, 0)
    keeper = record["keeper"]
    with open(path, "rb") as file:
        while True:
            # The keeper notes an end; only without one is it worth a look at every process.
            try:
                over = noted_end(record) is not None
                over = over or (not lives(keeper) and "ended" in state(record, Table(), records))
            except FileNotFoundError:
                over = True
            if os.fstat(file.fileno()).st_size < at:
                # Somebody has emptied it.
                at = 0
            file.seek(at)
            while piece := file.read(1 << 16):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            at = file.tell()
            # Whoever reads may be gone while there is nothing to say.
            if over or gone.poll(POLL_S * 1000):
                return


def end(folder, order):
    ident = order["id"]

    def look():
        """What runs of it, and what its record says; None where it has none."""
        records, _ = read_records(folder)
        table = Table()
        now = None
        if ident in records:
            with contextlib.suppress(FileNotFoundError):
                now = state(records[ident], table, records)
        return table.of(ident, records), now

    def runs():
        # Also what its keeper has yet to start: then it is found the next time.
        return found or (now and "running" in now)

    found, now = look()
    if now is None and not found:
        raise Refused("none", os.path.join(folder, ident), "there is no such program")
    asked, until = set(), time.monotonic() + order["grace_s"]
    while runs() and time.monotonic() < until:
        for it in found:
            if (it.pid, it.ticks) not in asked:
                asked.add((it.pid, it.ticks))
                send(it, signal.SIGTERM)
                # Who stands still hears nothing else.
                send(it, signal.SIGCONT)
        time.sleep(0.02)
        found, now = look()
    killed, until = set(), time.monotonic() + KILL_S
    while runs() and time.monotonic() < until:
        for it in found:
            killed.add((it.pid, it.ticks))
            send(it, signal.SIGKILL)
        time.sleep(0.02)
        found, now = look()
    if found:
        pids = sorted(it.pid for it in found)
        raise Refused("survives", str(pids[0]), "does not end, not even by SIGKILL", pids=pids)
    if runs():
        pid = now["running"]["pid"]
        raise Refused("stuck", str(pid), "neither starts the program nor notes its end", pids=[pid])
    unseen = {"ended": {"how": {"unseen": None}, "at_ns": None, "left": 0}}
    return {"state": now or unseen, "killed": len(killed)}


def forget(folder, order):
    record, records = find(folder, order["id"])
    now = state(record, Table(), records)
    if "running" in now or now["ended"]["left"]:
        raise Refused("runs", record["folder"], "is not to be forgotten while anything of it runs")
    # Renamed first: what is half removed is no program any more.
    gone = os.path.join(folder, ".new-gone-" + order["id"])
    os.rename(record["folder"], gone)
    shutil.rmtree(gone, ignore_errors=True)
    return {}


def answer(what):
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


def main():
    order = json.loads(sys.stdin.buffer.readline())
    operations = {"start": start, "list": list_programs, "log": log, "end": end, "forget": forget}
    try:
        what = {"answer": operations[order["op"]](records_folder(order), order)}
    except Refused as error:
        what = {"failed": {"what": error.what, "path": error.path, "message": str(error), **error.more}}
    except FileNotFoundError as error:
        what = {"failed": failed(error)}
        # Another machine, or another of us, may have forgotten it meanwhile.
        if order["op"] in ("log", "end", "forget"):
            own = os.path.join(records_folder(order), order["id"])
            what["failed"].update({} if os.path.isdir(own) else {"what": "none", "path": own})
    except OSError as error:
        what = {"failed": failed(error)}
    # The log has been told already, behind an answer of its own.
    if order["op"] != "log" or "failed" in what:
        answer(what)


if __name__ == "__main__":
    main()
