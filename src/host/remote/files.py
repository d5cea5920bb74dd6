"""Read and write files for the harness.

Input: one line of JSON {"mark", "op", ...}, then the bytes of the files to write, one after the other.
Output: one line, the mark and JSON: {"done": true} or {"length"} (that many bytes follow) or
{"path", "errno", "message"} for what went wrong, or {"too_large": true}.

put: {"files": [[path, length], ...]}: each is made with its folders, unless it has its bytes already.
replace: {"path", "length"}: the folder must be there.
get: {"path", "most"}.
A file that is written has its old bytes or its new ones at every moment, even where the power fails.
"""

import json
import os
import stat
import sys
import tempfile

order = json.loads(sys.stdin.buffer.readline())


def answer(what):
    sys.stdout.buffer.write(order["mark"].encode() + json.dumps(what).encode() + b"\n")


def take(length):
    data = sys.stdin.buffer.read(length)
    if len(data) != length:
        sys.exit("the input ended early")
    return data


def write(path, data):
    folder = os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            # `mkstemp` makes private files; these are for servers and colleagues to read.
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def holds(path, data):
    try:
        with open(path, "rb") as file:
            return file.read(len(data) + 1) == data
    except OSError:
        return False


def put():
    for path, length in order["files"]:
        order["path"] = path
        data = take(length)
        if not holds(path, data):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            write(path, data)
    answer({"done": True})


def replace():
    write(order["path"], take(order["length"]))
    answer({"done": True})


def get():
    if not stat.S_ISREG(os.stat(order["path"]).st_mode):
        # Opening a pipe would wait for somebody to write to it.
        raise OSError(None, "not a file")
    data = bytearray()
    with open(order["path"], "rb") as file:
        while len(data) <= order["most"] and (piece := file.read(1 << 20)):
            data += piece
    if len(data) > order["most"]:
        answer({"too_large": True})
    else:
        answer({"length": len(data)})
        sys.stdout.buffer.write(data)


try:
    {"put": put, "replace": replace, "get": get}[order["op"]]()
except OSError as error:
    answer({"path": order["path"], "errno": error.errno, "message": error.strerror or str(error)})
sys.stdout.buffer.flush()
