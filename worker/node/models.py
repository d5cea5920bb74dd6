"""Say whether models lie whole on a node, as one JSON document on stdout.

Input: one JSON document {"cache": FOLDER or null, "variables": {...}, "models": [...], "paths": [...]}, a model being
{"repository": NAME}, a folder of the Hugging Face cache as `models--zai-org--GLM-4.7-FP8`, or {"folder": PATH}. Where
no cache is named, it is where Hugging Face's libraries look: the variables, and below them those of this program, say so
(huggingface_hub, constants.py).
Output: {"models": [MODEL, ...], "there": [BOOL, ...]}, in their order: whether each of the paths is there.
Nothing is changed, and the network is not asked. Standard library only, Linux, Python 3.8 or newer.
"""

import json
import os
import re
import sys
import time

# The files that say which others hold the weights, and the one that holds all of them where there is no such.
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")
# Bytes of an index, and of a safetensors header: the largest that are known have less than a tenth.
MOST_JSON = 64 << 20
# Faults that are named; the rest are counted.
MOST_FAULTS = 5
# Seconds for all models. A cold disk reads the heads of 200 files in less.
ALL_S = 15.0
REVISION = re.compile(r"[0-9A-Za-z._-]+\Z")


def hub_cache(order):
    """Where Hugging Face's cache is."""
    if order["cache"] is not None:
        return os.path.expanduser(order["cache"])

    def variable(name):
        return (order["variables"].get(name) or os.environ.get(name) or "").strip()

    cache = variable("XDG_CACHE_HOME") or "~/.cache"
    home = variable("HF_HOME") or os.path.join(cache, "huggingface")
    hub = variable("HF_HUB_CACHE") or variable("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return os.path.expanduser(hub)


def text(path, most):
    """The file's text, or None."""
    try:
        with open(path, "rb") as file:
            return file.read(most + 1)[:most].decode("utf-8", "replace")
    except OSError:
        return None


def snapshot(repository):
    """The revision that is used without a word, and its folder: what `main` was, else the newest that is there."""
    snapshots = os.path.join(repository, "snapshots")
    main = (text(os.path.join(repository, "refs", "main"), 256) or "").strip()
    if REVISION.match(main) and main not in (".", "..") and os.path.isdir(os.path.join(snapshots, main)):
        return main, os.path.join(snapshots, main)
    try:
        there = [entry for entry in os.scandir(snapshots) if entry.is_dir()]
    except OSError:
        there = []
    if not there:
        return None, None
    newest = max(there, key=lambda entry: entry.stat().st_mtime)
    return newest.name, newest.path


def unfinished(repository):
    """How many downloads have not ended, and the bytes that they have."""
    found = [0, 0]
    try:
        for entry in os.scandir(os.path.join(repository, "blobs")):
            if entry.name.endswith(".incomplete"):
                found = [found[0] + 1, found[1] + entry.stat().st_size]
    except OSError:
        pass
    return found


def safetensors_length(path):
    """The bytes that a file of safetensors has by its own header: 8 for that one's length, itself, the tensors."""
    with open(path, "rb") as file:
        head = int.from_bytes(file.read(8), "little")
        if head > MOST_JSON:
            raise ValueError("a header of {} bytes".format(head))
        tensors = json.loads(file.read(head).decode("utf-8"))
    ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
    return 8 + head + max(ends, default=0)


def fault(path, until):
    """What is wrong with a file, or None; and its bytes."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        if os.path.islink(path) and isinstance(error, FileNotFoundError):
            return "is a link that leads nowhere", 0
        return ("is missing" if isinstance(error, FileNotFoundError) else error.strerror), 0
    if size == 0:
        return "is empty", 0
    if path.endswith(".safetensors") and time.monotonic() < until:
        try:
            expected = safetensors_length(path)
        except OSError as error:
            return "cannot be read: {}".format(error.strerror), size
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return "has a header that makes no sense", size
        if size != expected:
            return "has {} of {} bytes".format(size, expected), size
    return None, size


def weights(folder):
    """The names of the files with weights, the bytes of all tensors where that is said, and a fault."""
    for index in INDICES:
        path = os.path.join(folder, index)
        if not os.path.lexists(path):
            continue
        said = text(path, MOST_JSON)
        try:
            document = json.loads(said if said is not None else "")
            names = sorted(set(document["weight_map"].values()))
            total = document.get("metadata", {}).get("total_size")
            if any(not isinstance(name, str) or os.path.isabs(name) or ".." in name.split("/") for name in names):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return [], None, index + " cannot be read" if said is None else index + " makes no sense"
        # Some tools write it as a float.
        total = int(total) if isinstance(total, (int, float)) and 0 < total < 1e16 else None
        return names, total, None
    for name in WHOLE:
        if os.path.lexists(os.path.join(folder, name)):
            return [name], None, None
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".safetensors", ".gguf")))
    except OSError:
        names = []
    return names, None, None if names else "no weights are there"


def free(path):
    """Bytes that the user may still write where `path` is or would be."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def look(model, cache, until):
    """What is there of one model."""
    seen = {"revision": None, "there": False, "files": 0, "total": None, "have": 0, "faults": [], "wrong": 0}
    seen.update({"unlooked": 0, "unfinished": [0, 0]})
    if "folder" in model:
        seen["folder"] = folder = model["folder"]
    else:
        seen["folder"] = os.path.join(cache, model["repository"])
        seen["revision"], folder = snapshot(seen["folder"])
        seen["unfinished"] = unfinished(seen["folder"])
    seen["free"] = free(seen["folder"])
    if folder is None or not os.path.isdir(folder):
        return seen
    seen["there"] = True
    names, total, problem = weights(folder)
    faults = [problem] if problem else []
    for name in [*names, "config.json"]:
        in_time = time.monotonic() < until
        what, size = fault(os.path.join(folder, name), until)
        if what:
            faults.append("{} {}".format(name, what))
        elif name != "config.json":
            seen["have"] += size
            seen["unlooked"] += not in_time
    if total is None and names and not faults:
        total = seen["have"]
    seen.update({"files": len(names), "total": total, "faults": faults[:MOST_FAULTS], "wrong": len(faults)})
    return seen


if __name__ == "__main__":
    order = json.load(sys.stdin)
    until = time.monotonic() + ALL_S
    cache = hub_cache(order)
    there = [os.path.exists(os.path.expanduser(path)) for path in order["paths"]]
    models = [look(model, cache, until) for model in order["models"]]
    json.dump({"models": models, "there": there}, sys.stdout)
