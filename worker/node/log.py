"""Look through the logs of a server on this node for the lines that somebody asks for.

Input: one line of JSON {"paths": [...], "marks": [...], "seconds"}; a path may begin with `~/`.
Output: one line of JSON, {"answer": {"logs": [{"began_ns", "modified_ns", "whole", "ranks", "lines"}]}} or
{"failed": {"path", "message"}}; `ranks` and `lines` are lists of {"at_ns", "text"}.

`lines` are those that have one of the marks, the last 400 of them; `ranks` the last line of each rank of SGLang. `began_ns` is the time of the log's first line that has one, `at_ns` the line's, else that of one before it. Times
are read in this node's time zone, and are the end of what the line says, because most say it to the second. `whole` is
false where there was no time to read all of it.

A log may be of any length and a line too, and neither is held in memory. Standard library only, Python 3.8 and later.
"""

import json
import os
import re
import stat
import sys
import time

PIECE = 1 << 20
LINE = 2048
MOST_LINES = 400
MOST_RANKS = 64

# [2026-11-30 12:00:00 TP1] of SGLang; the milliseconds are there where SGLANG_LOG_MS is set.
SGLANG = re.compile(rb"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{3}))?((?: [A-Z_]+\d+)*)\]")
# (Worker_TP0 pid=12) INFO 11-30 12:00:00 of vLLM, which may be coloured.
VLLM = re.compile(rb"(?:DEBUG|INFO|WARNING|ERROR)(?:\x1b\[0m)? (?:\x1b\[[\d;]*m)?(\d\d-\d\d \d\d:\d\d:\d\d)")


class Refused(Exception):
    """A log that cannot be read; says why."""

    def __init__(self, path, message):
        super().__init__(message)
        self.path = path


def lines(file, until):
    """The lines of a file, each cut to its first bytes; None where the time is up before its end."""
    rest, skipping = b"", False
    while True:
        piece = file.read(PIECE)
        if not piece:
            break
        if time.monotonic() > until:
            yield None
            return
        parts = piece.split(b"\n")
        for part in parts[:-1]:
            if not skipping:
                yield (rest + part)[:LINE]
            rest, skipping = b"", False
        if not skipping:
            rest += parts[-1]
            if len(rest) > LINE:
                yield rest[:LINE]
                rest, skipping = b"", True
    if rest:
        yield rest[:LINE]


def nanoseconds(text, form, thousandths):
    seconds = time.mktime(time.strptime(text, form))
    return int(seconds) * 10**9 + (10**9 - 1 if thousandths is None else int(thousandths) * 10**6 + 999_999)


def when(line, modified_ns):
    """When a line says it was written; None where it says nothing that is a time."""
    head = line[:256]
    try:
        found = SGLANG.match(head)
        if found:
            return nanoseconds(found[1].decode(), "%Y-%m-%d %H:%M:%S", found[2])
        found = VLLM.search(head)
        if found is None:
            return None
        # It says no year: the last in which the line is no younger than the file.
        year = time.localtime(modified_ns // 10**9 + 1).tm_year
        times = (nanoseconds(f"{y}-{found[1].decode()}", "%Y-%m-%d %H:%M:%S", None) for y in (year, year - 1))
        return next((at for at in times if at <= modified_ns + 10**9), None)
    except (ValueError, OverflowError):
        return None


def said(line, at):
    return {"at_ns": at, "text": line.decode("utf-8", "replace")}


def read(path, marks, until):
    path = os.path.expanduser(path)
    # A pipe would be waited for.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Refused(path, "is no regular file")
    ranks, kept = {}, []
    began = at = None
    whole = True
    with open(path, "rb", buffering=0) as file:
        modified = os.fstat(file.fileno()).st_mtime_ns
        for line in lines(file, until):
            if line is None:
                whole = False
                break
            marked = any(mark in line for mark in marks)
            if began is None or marked:
                at = when(line, modified) or at
                began = began or at
            head = line.startswith(b"[") and SGLANG.match(line[:256])
            if head and head[3] and (head[3] in ranks or len(ranks) < MOST_RANKS):
                ranks[head[3]] = line
            if marked:
                kept.append(said(line, at))
                del kept[:-MOST_LINES]
    return {
        "began_ns": began,
        "modified_ns": modified,
        "whole": whole,
        "ranks": [said(line, when(line, modified)) for line in ranks.values()],
        "lines": kept,
    }


def main():
    order = json.loads(sys.stdin.buffer.readline())
    marks = [mark.encode() for mark in order["marks"]]
    until = time.monotonic() + order["seconds"]
    try:
        answer = {"answer": {"logs": [read(path, marks, until) for path in order["paths"]]}}
    except Refused as error:
        answer = {"failed": {"path": error.path, "message": str(error)}}
    except OSError as error:
        answer = {"failed": {"path": str(error.filename), "message": error.strerror or str(error)}}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()


main()
