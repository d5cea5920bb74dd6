"""A program started by a process that stays with it."""

import contextlib
import json
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import time

if __name__ != "__main__":
    from .processes import BOOT, MARK, SPACE, Table, identity, place, send, text
    from .records import Refused, create, failed, sync_folder, tail, write_json

# A keeper that has not said within this that the program began is stuck, and ended. One that waits for a disk is not
# ended so: it does not start anything any more either.
BEGIN_S, STOP_S = 20, 5
LOGINCTL_S = 5
# What nobody has come back to finish.
STALE_S = 3600
# What is told of the log of a program that ended at once: lines, and characters of one.
LAST_WORDS, LAST_WORD = 20, 500
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36


def ends_at_logout(cgroups, properties, user):
    """Whether logind ends what a session has left: in its scope, and so set for this user (logind.conf(5))."""
    if not re.search(r"/session-[^/\n]*\.scope", cgroups):
        return False
    found = dict(line.split("=", 1) for line in properties.splitlines() if "=" in line)
    only = found.get("KillOnlyUsers", "").split()
    excluded = user in found.get("KillExcludeUsers", "root").split()
    return not excluded and (user in only if only else found.get("KillUserProcesses") == "yes")


def refuse_where_logout_ends_it():
    cgroups = text("/proc/self/cgroup")
    try:
        names = ("KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers")
        asked = ["loginctl", "show-session", *(f"--property={name}" for name in names)]
        user = pwd.getpwuid(os.geteuid()).pw_name
        # Not asked where it is nobody's session.
        told = ".scope" in cgroups and subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOGINCTL_S, check=False
        ).stdout.decode("utf-8", "replace")
    except (OSError, KeyError, subprocess.SubprocessError):
        return
    if told and ends_at_logout(cgroups, told, user):
        raise Refused("logout", user, "systemd-logind ends what a session has left behind")


def prepare(folder, ident):
    """The folder of a program that is about to be started."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not os.path.isdir(folder) or os.path.islink(folder) or found.st_uid != os.geteuid():
        raise Refused("foreign", folder, "is no folder of this user's own")
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(".new-") and time.time() - os.stat(path).st_mtime > STALE_S:
            shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(os.path.join(folder, ident)):
        raise Refused("taken", os.path.join(folder, ident), "another program has this name")
    new = os.path.join(folder, ".new-" + ident)
    os.mkdir(new, 0o700)
    return new


def become_keeper():
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    # Handled and not ignored: the program is to have what signals do by themselves, whoever ignored them before.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, lambda *_: None)
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).prctl
        # Whoever loses its parent becomes the keeper's child and not the first process's: so it is found.
        call(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        call(PR_SET_NAME, b"spark-keeper", 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        # Then those who clear their variables are not.
        pass


def keep(new, own, order, tell):
    """Start the program, and stay until it and all that it left behind have ended."""
    become_keeper()
    record = {
        "id": order["id"],
        "labels": order["labels"],
        "argv": order["argv"],
        "place": place(),
        "boot": BOOT,
        "space": SPACE,
        "keeper": identity(os.getpid()),
        "program": None,
        "started_ns": time.time_ns(),
    }
    path = os.path.join(own, "record.json")
    try:
        log = create(os.path.join(new, "log"))
        os.close(create(os.path.join(new, "running")))
        write_json(os.path.join(new, "record.json"), record)
        sync_folder(new)
        os.rename(new, own)
        sync_folder(os.path.dirname(own))
        environment = {**os.environ, **order["set"]}
        for name in order["unset"]:
            environment.pop(name, None)
        environment[MARK] = json.dumps({"id": order["id"], "labels": order["labels"]})
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        return tell({"failed": failed(error)})
    try:
        program = subprocess.Popen(
            order["argv"],
            env=environment,
            cwd=order["directory"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        shutil.rmtree(own, ignore_errors=True)
        words = " ".join(filter(None, (getattr(error, "strerror", None), getattr(error, "filename", None))))
        return tell({"failed": {"what": "start", "path": order["argv"][0], "message": words or str(error)}})
    os.close(log)
    # Where it was started, which is where a program begins that is given no other place, may be unmounted now.
    os.chdir("/")
    record["program"] = identity(program.pid)
    # A disk that has become full: the mark says what the record does not.
    with contextlib.suppress(OSError):
        write_json(path, record)
    tell({"began": program.pid})
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return None
        if pid == program.pid:
            how = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}
            ((name, number),) = how.items()
            # It may be gone: somebody has removed the folder.
            with contextlib.suppress(OSError):
                ended = os.path.join(own, f"ended-{name}-{number}-{time.time_ns()}")
                os.rename(os.path.join(own, "running"), ended)
            tell({"ended": how})


def start(folder, order):
    refuse_where_logout_ends_it()
    new, own = prepare(folder, order["id"]), os.path.join(folder, order["id"])
    read, write = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(read)
        try:
            keep(new, own, order, lambda what: say(write, what))
        finally:
            os._exit(0)
    os.close(write)
    heard = listen(read, BEGIN_S)
    if heard is None:
        stop(keeper, order["id"])
        shutil.rmtree(own, ignore_errors=True)
    if heard is None or "began" not in heard:
        shutil.rmtree(new, ignore_errors=True)
        why = "what keeps the program " + (f"did not start it within {BEGIN_S} s" if heard is None else "has ended")
        raise Refused(**(heard or {}).get("failed", {"what": "keeper", "path": own, "message": why}))
    ended = listen(read, order["watch_s"])
    if ended is not None and "ended" in ended:
        said, _ = tail(os.path.join(own, "log"), LAST_WORDS)
        lines = said.decode("utf-8", "replace").splitlines()
        return {"at_once": {"how": ended["ended"], "log": [line[:LAST_WORD] for line in lines]}}
    return {"running": {"pid": heard["began"]}}


def stop(keeper, ident):
    """End a keeper, our child, and what it is about to start or has started meanwhile."""
    begun = [it for it in Table().processes.values() if it.parent == keeper]
    os.kill(keeper, signal.SIGKILL)
    until = time.monotonic() + STOP_S
    while os.waitpid(keeper, os.WNOHANG) == (0, 0) and time.monotonic() < until:
        time.sleep(0.02)
    for it in begun + Table().of(ident, {}):
        send(it, signal.SIGKILL)


def say(handle, what):
    # Whoever asked may be gone.
    with contextlib.suppress(OSError):
        os.write(handle, json.dumps(what).encode() + b"\n")


def listen(handle, seconds):
    """The next line from the keeper; None where it says nothing within the time, {} where it has ended."""
    line, until = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([handle], [], [], max(0, until - time.monotonic()))
        if not ready:
            return None
        byte = os.read(handle, 1)
        if not byte:
            return {}
        line += byte
    return json.loads(line)
