"""What is kept of programs in a folder of their own; the beginning of `orders.py` says what lies there."""

import errno
import json
import os
import re

if __name__ != "__main__":
    from .processes import lives, place

# The longest part of a log's end that is looked through for its last lines.
TAIL = 1 << 20


class Refused(Exception):
    """Something that is not as it must be; says what."""

    def __init__(self, what, path, message, **more):
        super().__init__(message)
        self.what, self.path, self.more = what, path, more


def failed(error):
    full, denied = (errno.ENOSPC, errno.EDQUOT), (errno.EROFS, errno.EACCES, errno.EPERM)
    return {
        "what": "full" if error.errno in full else "denied" if error.errno in denied else "system",
        "path": error.filename,
        "message": error.strerror or str(error),
    }


def records_folder(order):
    if order["records"]:
        return order["records"]
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        state = os.path.expanduser("~/.local/state")
    if not state.startswith("/"):
        raise Refused("denied", "~/.local/state", "this user has no home")
    return os.path.join(state, "sparktune/programs")


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def write_json(path, value):
    temporary = path + ".tmp"
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(json.dumps(value, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # A write that fails does not say to what.
        error.filename = error.filename or path
        raise


def read_records(folder):
    """What this machine keeps, by program, and what of it cannot be read."""
    records, damaged = {}, []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        names = []
    for name in names:
        path = os.path.join(folder, name, "record.json")
        if name.startswith("."):
            continue
        try:
            with open(path, "rb") as file:
                record = json.loads(file.read())
            if record["place"] == place():
                records[name] = {**record, "folder": os.path.join(folder, name)}
        except (OSError, ValueError, KeyError, TypeError):
            if os.path.isdir(os.path.dirname(path)):
                damaged.append(path)
    return records, damaged


def noted_end(record):
    """How the program ended, as its keeper noted; None where it did not. FileNotFoundError where it was forgotten."""
    for name in os.listdir(record["folder"]):
        found = re.fullmatch(r"ended-(exit|signal)-(\d+)-(\d+)", name)
        if found:
            return {"how": {found[1]: int(found[2])}, "at_ns": int(found[3])}
    return None


def state(record, table, records):
    end = noted_end(record)
    own = table.of(record["id"], records)
    if end is None and table.is_there(record, "program"):
        return {"running": {"pid": record["program"]["pid"]}}
    # Its keeper is about to note an end, or to start it; or has ended before it could note which process it is.
    if end is None and (table.is_there(record, "keeper") or (own and record["program"] is None)):
        return {"running": {"pid": own[0].pid if own else record["keeper"]["pid"]}}
    # The table may be older than the end that was noted since.
    left = sum(lives({"pid": it.pid, "ticks": it.ticks}) for it in own)
    return {"ended": {**(end or {"how": {"unseen": None}, "at_ns": None}), "left": left}}


def has(labels, wanted):
    return all(labels.get(key) == value for key, value in wanted.items())


def tail(path, lines):
    """The last lines of a file, and where in it they end."""
    with open(path, "rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - TAIL))
        kept = file.read(min(length, TAIL))
    at = len(kept)
    for _ in range(lines):
        # The end of the last line belongs to it.
        at = kept.rfind(b"\n", 0, max(0, at - 1)) + 1 if at else 0
    return kept[at:], length
