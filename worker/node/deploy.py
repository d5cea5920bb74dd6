"""Put config files into one folder of one node so that a reader finds all old ones or all new ones, whatever dies.

Input: one line of JSON {"op", "folder", "above", ...}, then the bytes of the files to stage, one after the other.
Output: one line of JSON, {"answer": ...} or {"failed": {"what", "path", "errno", "message"}}.

The folder is made where it is not there, but only below the folder `above`, which must be.

find      {}                                 folders that were deployed to: `folder` itself, and those of SGLang below it
look      {}                                 what lies in the folder and what was deployed
stage     {"id", "seen", "files": [{"name", "length", "sha256"}]}   everything that can fail for want of room or rights;
                                             refused where the last deployment is another than `seen`, what a look said
commit    {"id", "names", "record"}          renames only; goes on when whoever asked is gone
abort     {"id"}                             forget what was staged
rollback  {"id"}                             the files that deployment `id` took the place of; nothing where another
                                             one, or none, is the last

All that is ours lies in the folder `.sparktune` below it:
  stage-ID/NAME      staged files
  intent.json        written before the first rename: from then on this node has decided, and whoever comes next ends
                     what was begun
  before-ID/NAME     the files that were there before
  deployed.json      the intent of the last deployment, once it is done; its `record` has the files and their digests
  lock               held by whoever writes

Standard library only, Python 3.8 and later.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time

OURS = ".sparktune"
LOCK_SECONDS = 10


class Refused(Exception):
    """Something that is not as it must be; says what."""

    def __init__(self, what, path, message):
        super().__init__(message)
        self.what, self.path = what, path


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path, data):
    temporary = path + ".tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # A write that fails does not say to what.
        error.filename = error.filename or path
        raise


def write_json(path, value):
    write(path, json.dumps(value, indent=1).encode())


def read_json(path):
    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Refused("record", path, f"not what sparktune wrote: {error}") from None


def digest(path):
    """SHA-256 of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return None


class Folder:
    def __init__(self, path):
        # A link is followed once, here, so that everything after speaks of one place.
        self.path = os.path.realpath(path)
        self.ours = os.path.join(self.path, OURS)
        self.intent = os.path.join(self.ours, "intent.json")
        self.deployed = os.path.join(self.ours, "deployed.json")

    def file(self, name):
        if os.path.basename(name) != name or name in ("", ".", "..", OURS):
            raise Refused("name", name, "not the name of a file")
        return os.path.join(self.path, name)

    def stage(self, ident):
        return os.path.join(self.ours, "stage-" + ident)

    def before(self, ident):
        return os.path.join(self.ours, "before-" + ident)

    def lock(self):
        # Held until this process ends. One that lost its harness while it renamed is over in a moment.
        handle = os.open(os.path.join(self.ours, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Refused("busy", self.path, "another deployment writes here") from None
                time.sleep(0.02)

    def end_what_was_begun(self):
        intent = read_json(self.intent)
        if intent is None:
            return
        # Every step may have been done already.
        for file in intent["files"]:
            source = os.path.join(intent["from"], file["name"])
            if file["sha256"] is None:
                if digest(self.file(file["name"])) is not None:
                    os.unlink(self.file(file["name"]))
            elif os.path.exists(source):
                os.replace(source, self.file(file["name"]))
        sync_folder(self.path)
        # What was decided is now what is so. A rename, because a disk may have become full since.
        os.replace(self.intent, self.deployed)
        sync_folder(self.ours)
        if intent["record"] is None:
            os.unlink(self.deployed)
        shutil.rmtree(intent["from"], ignore_errors=True)

    def record(self):
        return (read_json(self.deployed) or {}).get("record")

    def forget(self, kinds, keep=None):
        for name in os.listdir(self.ours):
            if name.startswith(kinds) and name != keep:
                shutil.rmtree(os.path.join(self.ours, name), ignore_errors=True)


def find(folder, order):
    configs = os.path.join(folder.path, "configs")
    names = sorted(os.listdir(configs)) if os.path.isdir(configs) else []
    folders = [folder.path] + [os.path.join(configs, name) for name in names if name.startswith("triton_")]
    ours = [(path, Folder(path)) for path in folders]
    return {"folders": [path for path, it in ours if os.path.exists(it.deployed) or os.path.exists(it.intent)]}


def look(folder, order):
    if not os.path.isdir(folder.path):
        return {"folder": folder.path, "files": {}, "deployed": None, "changed_ns": None, "unfinished": False}
    deployed = folder.record()
    names = sorted(name for name in os.listdir(folder.path) if name.endswith(".json"))
    files = {name: digest(folder.file(name)) for name in names if os.path.isfile(folder.file(name))}
    return {
        "folder": folder.path,
        "files": files,
        "deployed": deployed,
        # By this node's clock, as its servers' logs are: the record's own time is the harness's. Its renaming ends a
        # deployment, and a rollback to one.
        "changed_ns": os.stat(folder.deployed).st_ctime_ns if deployed else None,
        "unfinished": os.path.exists(folder.intent),
    }


def stage(folder, order):
    # All of it before the lock: a connection that is cut meanwhile can be silent for long.
    contents = []
    for file in order["files"]:
        folder.file(file["name"])
        data = sys.stdin.buffer.read(file["length"])
        if len(data) != file["length"]:
            raise Refused("input", folder.path, "the input ended early")
        contents.append((file, data))
    os.makedirs(folder.ours, exist_ok=True)
    folder.lock()
    folder.end_what_was_begun()
    deployed = folder.record()
    if (deployed and deployed["id"]) != order["seen"]:
        # The renaming of a harness that was killed may have ended since: its files are none that were there before.
        raise Refused("moved", folder.path, "another deployment ended here meanwhile")
    folder.forget(("stage-", "before-"), keep=deployed and "before-" + deployed["id"])
    into = folder.stage(order["id"])
    os.mkdir(into)
    try:
        for file, data in contents:
            path = os.path.join(into, file["name"])
            write(path, data)
            if digest(path) != file["sha256"]:
                raise Refused("digest", path, "its bytes are not those that were sent")
        sync_folder(into)
        keep(folder, [file["name"] for file in order["files"]], order["id"])
    except BaseException:
        folder.forget(("stage-" + order["id"], "before-" + order["id"]))
        raise
    return {"folder": folder.path}


def keep(folder, names, ident):
    """Keep what lies under `names`. A copy takes room, but a link would change with whoever writes in place."""
    before = folder.before(ident)
    os.mkdir(before)
    for name in names:
        path = folder.file(name)
        if os.path.isdir(path):
            raise Refused("folder", path, "a folder lies where a file is to go")
        if os.path.lexists(path):
            with open(path, "rb") as old:
                write(os.path.join(before, name), old.read())
    sync_folder(before)


def commit(folder, order):
    folder.lock()
    folder.end_what_was_begun()
    source = folder.stage(order["id"])
    if not os.path.isdir(source):
        raise Refused("stage", source, "nothing is staged here under this name")
    digests = {name: digest(os.path.join(source, name)) for name in order["names"]}
    missing = [name for name, found in digests.items() if found is None]
    if missing:
        raise Refused("stage", os.path.join(source, missing[0]), "is not staged")
    kept = os.listdir(folder.before(order["id"]))
    record = dict(order["record"])
    record["id"] = order["id"]
    record["files"] = [
        {"name": name, "sha256": digests[name], "replaced": name in kept} for name in order["names"]
    ]
    record["before"] = folder.record()
    if record["before"] is not None:
        record["before"]["before"] = None
    files = [{"name": name, "sha256": digests[name]} for name in order["names"]]
    write_json(folder.intent, {"from": source, "files": files, "record": record})
    sync_folder(folder.ours)
    folder.end_what_was_begun()
    folder.forget("before-", keep="before-" + order["id"])
    return {"folder": folder.path}


def abort(folder, order):
    if os.path.isdir(folder.ours):
        folder.lock()
        folder.end_what_was_begun()
        deployed = folder.record()
        if deployed is None or deployed["id"] != order["id"]:
            folder.forget(("stage-" + order["id"], "before-" + order["id"]))
    return {"folder": folder.path}


def rollback(folder, order):
    if not os.path.isdir(folder.ours):
        return {"folder": folder.path, "undone": False}
    folder.lock()
    folder.end_what_was_begun()
    deployed = folder.record()
    if deployed is None or deployed["id"] != order["id"]:
        return {"folder": folder.path, "undone": False}
    if not os.path.isdir(folder.before(order["id"])):
        raise Refused("undone", folder.path, "only the last deployment is kept")
    for file in deployed["files"]:
        path = folder.file(file["name"])
        if digest(path) != file["sha256"]:
            raise Refused("changed", path, "somebody changed it after it was deployed")
    source = folder.stage(order["id"] + "-undo")
    shutil.rmtree(source, ignore_errors=True)
    os.mkdir(source)
    files = []
    for file in deployed["files"]:
        kept = os.path.join(folder.before(order["id"]), file["name"])
        if file["replaced"]:
            # Staged anew, so that what was kept stays until it is all over.
            with open(kept, "rb") as old:
                write(os.path.join(source, file["name"]), old.read())
        files.append({"name": file["name"], "sha256": digest(kept) if file["replaced"] else None})
    sync_folder(source)
    write_json(folder.intent, {"from": source, "files": files, "record": deployed["before"]})
    sync_folder(folder.ours)
    folder.end_what_was_begun()
    folder.forget("before-")
    return {"folder": folder.path, "undone": True}


def detached(work):
    """Do `work` in a process that neither a lost connection nor whoever started this one can end half-way."""
    read, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        with os.fdopen(read, "rb") as answer:
            return answer.read()
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # The streams are the connection's: nothing here waits for it, and it does not wait for this.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(read)
    try:
        os.write(write_end, json.dumps(attempt(work)).encode())
    except BrokenPipeError:
        pass
    os._exit(0)


def attempt(work):
    try:
        return {"answer": work()}
    except Refused as error:
        return {"failed": {"what": error.what, "path": error.path, "errno": None, "message": str(error)}}
    except OSError as error:
        what = {errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EROFS: "read_only", errno.EACCES: "denied"}
        return {
            "failed": {
                "what": what.get(error.errno, "system"),
                "path": error.filename,
                "errno": error.errno,
                "message": error.strerror or str(error),
            }
        }


def main():
    order = json.loads(sys.stdin.buffer.readline())
    operations = {
        "find": find,
        "look": look,
        "stage": stage,
        "commit": commit,
        "abort": abort,
        "rollback": rollback,
    }
    operation = operations[order["op"]]

    def work():
        if not os.path.isdir(order["above"]):
            raise Refused("missing", order["above"], "is no folder here")
        return operation(Folder(order["folder"]), order)

    if order["op"] in ("commit", "rollback"):
        answer = detached(work)
    else:
        answer = json.dumps(attempt(work)).encode()
    sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()


main()
