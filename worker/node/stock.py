"""Run a runtime's own tuning script in a fresh folder, and leave nothing of it behind.

Input: one line of JSON, then anything at all every few seconds, for as long as the script is wanted:
{"home", "files": {path: text}, "program": [word], "environment": {name: value or null}, "leash_s", "silence_s"}.
The folder is made below `home`, an absolute path, and `files` are laid out in it first. `{folder}` in a word or a value is
the folder, and the script starts in `{folder}/out`.
Output: lines of JSON: {"event": "began", "folder"} once it runs; {"event": "heard", "line"} with the last line of its
output, or null, every few seconds; {"event": "ended", "how", "files", "log"} last. `how` is {"exit"} or {"signal"}, or one
of "silent" (it said nothing for `silence_s`) and "unwanted" (the input ended or fell silent for `leash_s`). `files` has
the JSON files in `{folder}/out` by name, `log` the end of its output.

What a script starts may leave its session and its parent, as Ray's daemons do: whoever looks after it is the one that
orphans fall to (PR_SET_CHILD_SUBREAPER, prctl(2)), and ends them all. It has a session of its own, so that whoever
kills the program that was started here does not keep it from that.

Standard library only, Linux, Python 3.8 or newer.
"""

import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Of an output: what is kept of its end, and of the line that is told.
LOG_BYTES = 8 << 10
LINE_BYTES = 512
# Of what it wrote: more is no config file.
FILE_BYTES = 1 << 20
FILES = 8

HEARD_EVERY_S = 2.0
TICK_S = 0.2
# A killed process may wait for a disk.
KILL_LIMIT_S = 20.0


def prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def say(**message):
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        # Nobody listens any more, which the input says too.
        pass


def first_line():
    # Byte by byte: what follows must stay in the pipe.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("the order ended early")
        line += byte
    return json.loads(line)


def parents():
    """Every process's parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The name before the last bracket may hold anything.
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                pass
    return found


def descendants(of):
    by_parent = {}
    for pid, parent in parents().items():
        by_parent.setdefault(parent, []).append(pid)
    found, ahead = [], [of]
    while ahead:
        children = by_parent.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def strangers(folder):
    """Processes that a killed predecessor left, by the variable that says where they belong. One that has written another
    title over its variables, as Ray's workers do, is not among them: it ends when Ray does."""
    mark = f"SPARKTUNE_STOCK={folder}\0".encode()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read():
                        yield int(name)
            except OSError:
                pass


def kill_all(find):
    """Kill what `find` finds until it finds nothing: processes start others meanwhile."""
    until = time.monotonic() + KILL_LIMIT_S
    while time.monotonic() < until:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        found = list(find())
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.02)


def folder_of_all(home):
    """The folder of all folders of this user."""
    path = f"{home}/sparktune-stock-{os.getuid()}"
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            sys.exit(f"{path} belongs to somebody else")
    return path


def locked(folder):
    """The lock of a folder, held for as long as somebody looks after it; None where somebody does."""
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except OSError:
        os.close(lock)
        return None


def remove_left(above):
    """Remove what killed predecessors left."""
    for name in os.listdir(above):
        folder = f"{above}/{name}"
        try:
            lock = locked(folder)
        except OSError:
            continue
        if lock is not None:
            kill_all(lambda folder=folder: strangers(folder))
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def fresh(home):
    """A folder of our own, and its lock."""
    above = folder_of_all(home)
    while True:
        remove_left(above)
        folder = tempfile.mkdtemp(prefix="", dir=above)
        try:
            lock = locked(folder)
        except FileNotFoundError:
            lock = None
        # Another may have taken it for a left one in between.
        if lock is not None and os.path.exists(f"{folder}/lock"):
            return folder, lock


def lay_out(files, folder):
    for path, text in files.items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    os.makedirs(f"{folder}/out", exist_ok=True)


def begin(order, folder):
    def within(text):
        return text.replace("{folder}", folder)

    environment = {**os.environ, "SPARKTUNE_STOCK": folder}
    for name, value in order["environment"].items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = within(value)
    return subprocess.Popen(
        [within(word) for word in order["program"]],
        env=environment,
        cwd=f"{folder}/out",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Where nobody looks after it any more it is to end, too.
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )


def some(output):
    """What can be read now, b"" at the end, None where there is nothing yet."""
    found = b""
    try:
        while len(found) < LOG_BYTES * 64:
            piece = os.read(output, 1 << 16)
            if not piece:
                return found
            found += piece
    except BlockingIOError:
        return found or None
    return found


def watch(script, order, told_to_stop):
    """Until the script ends or has to be ended: how, and the end of what it said."""
    output = script.stdout.fileno()
    os.set_blocking(output, False)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(output, select.POLLIN)
    wanted = heard = told = time.monotonic()
    log = bytearray()
    while True:
        ready = dict(poll.poll(TICK_S * 1000))
        now = time.monotonic()
        input_ended = 0 in ready and not os.read(0, 4096)
        if 0 in ready:
            wanted = now
        # Whether it has ended is asked before the rest of its output is read, and before it counts as unwanted.
        status = script.poll()
        piece = some(output) if output in ready or status is not None else None
        if piece:
            heard = now
            log += piece
            del log[:-LOG_BYTES]
        elif piece == b"" and status is None:
            # It has closed its output, and would be told ready for ever.
            poll.unregister(output)
        if status is not None:
            return ({"exit": status} if status >= 0 else {"signal": -status}), log
        if input_ended or told_to_stop or now - wanted > order["leash_s"]:
            return "unwanted", log
        if now - heard > order["silence_s"]:
            return "silent", log
        if now - told > HEARD_EVERY_S:
            told = now
            say(event="heard", line=last_line(log))


def last_line(log):
    """A bar draws its line again and again behind a carriage return."""
    lines = [line for line in bytes(log).replace(b"\r", b"\n").split(b"\n") if line.strip()]
    return lines[-1][-LINE_BYTES:].decode(errors="replace").strip() if lines else None


def written(folder):
    found = {}
    for name in sorted(os.listdir(f"{folder}/out"))[:FILES]:
        path = f"{folder}/out/{name}"
        if name.endswith(".json") and os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = file.read(FILE_BYTES + 1).decode(errors="replace")
    return found


def look_after(order):
    told_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.append(True))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != ANCESTOR:
        return
    folder, lock = fresh(order["home"])
    how, log, files = "unwanted", b"", {}
    try:
        lay_out(order["files"], folder)
        script = begin(order, folder)
        say(event="began", folder=folder)
        how, log = watch(script, order, told_to_stop)
        files = written(folder)
    finally:
        kill_all(lambda: descendants(os.getpid()))
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
    say(event="ended", how=how, files=files, log=bytes(log).decode(errors="replace"))


order = first_line()
ANCESTOR = os.getpid()
child = os.fork()
if child == 0:
    os.setsid()
    try:
        look_after(order)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(0)
os.close(0)
os.close(1)
_, status = os.waitpid(child, 0)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
