"""Which processes of this machine belong to which program of ours."""

import json
import os
import signal

MARK = "SPARKTUNE_PROGRAM"
PROJECT = "sparktune.project"
# The first namespace of process numbers, that of the machine itself (PROC_PID_INIT_INO).
OF_MACHINE = "pid:[4026531836]"


def text(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def space():
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


BOOT, SPACE = text("/proc/sys/kernel/random/boot_id"), space()


def place():
    """Where the numbers of processes mean something: other machines, and containers, may share a home."""
    machine = text("/etc/machine-id") or text("/proc/sys/kernel/hostname")
    return f"{machine} {'machine' if SPACE == OF_MACHINE else 'container'}"


class Process:
    """A process as /proc/PID/stat has it (proc_pid_stat(5))."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Its name is in brackets and may hold anything.
            fields = file.read().rsplit(b")", 1)[1].split()
        self.pid = pid
        self.parent, self.session = int(fields[1]), int(fields[3])
        self.ticks = int(fields[19])
        self.lives = fields[0] not in (b"Z", b"X")


def process(pid):
    try:
        return Process(pid)
    except (OSError, IndexError, ValueError):
        return None


def identity(pid):
    found = process(pid)
    return {"pid": pid, "ticks": found and found.ticks}


def lives(named):
    """Whether the process of this identity does; a number may be another's by now."""
    found = process(named["pid"])
    return found is not None and found.lives and found.ticks == named["ticks"]


def mark_of(pid):
    """The mark in a process's environment; None where there is none or it may not be seen."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
        value = next((it for it in variables if it.startswith(MARK.encode() + b"=")), None)
        mark = value and json.loads(value.split(b"=", 1)[1])
        return mark if mark and mark["id"] and mark["labels"][PROJECT] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Table:
    """All processes of a moment but this one."""

    def __init__(self):
        numbers = (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())
        found = filter(None, map(process, numbers))
        self.processes = {it.pid: it for it in found if it.lives}
        self.marks = {pid: mark for pid in self.processes for mark in [mark_of(pid)] if mark}

    def is_there(self, record, who):
        """Whether the process that a record names is among them; its number may be another's by now."""
        named = record.get(who)
        if not named or (record["boot"], record["space"]) != (BOOT, SPACE):
            return False
        found = self.processes.get(named["pid"])
        return found is not None and found.ticks == named["ticks"]

    def of(self, ident, records):
        """What belongs to the program `ident`, but for its keeper."""
        record = records.get(ident, {})
        keeper = record["keeper"]["pid"] if record and self.is_there(record, "keeper") else None
        # A session's number is its leader's, and free again once both are gone.
        session = record["program"]["pid"] if record and self.is_there(record, "program") else None
        others = {it["keeper"]["pid"] for it in records.values() if self.is_there(it, "keeper")}
        others |= {pid for pid, mark in self.marks.items() if mark["id"] != ident}
        own = {pid for pid, mark in self.marks.items() if mark["id"] == ident}
        own |= {it.pid for it in self.processes.values() if session is not None and it.session == session}
        own -= others
        grown = True
        while grown:
            # What left the session and cleared its variables is still a child, in the end of the keeper.
            more = {it.pid for it in self.processes.values() if it.parent in own or it.parent == keeper}
            grown = more - own - others
            own |= grown
        # Parents first, who may end their children in their own way.
        return sorted((self.processes[pid] for pid in own), key=lambda it: (it.ticks, it.pid))


def send(target, number):
    """Send a signal to this process and to no other that gets its number meanwhile."""
    try:
        handle = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        # Python 3.8, Linux 5.2, or a container that may not.
        handle = None
    try:
        found = process(target.pid)
        if found is None or found.ticks != target.ticks:
            return
        if handle is None:
            os.kill(target.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        # What may not be ended is found again afterwards, and told.
        pass
    finally:
        if handle is not None:
            os.close(handle)
