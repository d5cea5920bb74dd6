"""Say which serving runtimes the interpreter that runs this has, and where they would look for config files.

Input: one line of JSON {"packages": {name: [distribution, ...]}, "folders": [[package, part], ...],
"variables": [...], "tools": bool}. Distributions carry a package's version; the first that is there counts.
Standard library only, Python 3.8 and later.

Output: one JSON document {"python", "packages": {name: {"version", "folder"}}, "folders": [...], "variables": {...}}.
`folder` is where the package lies; `folders` are those below the packages, out of the input's list, that are there.
With "tools" also {"tools": {"cuda", "nccl", "ptxas", "kernels", "no_kernels", "configs"}}: what torch was built for,
by its own text; NCCL's version; every assembler with the targets that it knows; the GPUs that compiled kernels are for,
as CUDA's own tool lists them, or why that is not known; and of each folder for config files, those of the variables
too, whether it can be written and which files are there.

Nothing is imported: a runtime takes seconds to import, and some need their GPU for it.
"""

import glob
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

# Seconds that all compiled kernels may take to list, and an assembler to answer.
LISTING = 60
TOOL = 10
# Smaller libraries have no kernels, or few that matter.
LEAST_BYTES = 1 << 20
# Names of config files that are told of a folder.
MOST_FILES = 4000

order = json.loads(sys.stdin.readline())


def version(folder, names):
    """What the first of the distributions says; where there is none, what the package's own file says."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for file in ("_version.py", "version.py"):
        said = re.search(r"^(?:__version__|version)\b[^'\"\n]*['\"]([^'\"]+)['\"]", text(folder, file), re.M)
        if said:
            return said.group(1)
    return None


def text(folder, file):
    try:
        with open(os.path.join(folder, file), encoding="utf-8", errors="replace") as opened:
            return opened.read(1 << 20)
    except OSError:
        return ""


def folder(name):
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return os.path.realpath(places[0]) if places else None


def said(argv, seconds):
    """What a tool says, or None."""
    try:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        done = subprocess.run(argv, timeout=seconds, check=False, **pipes)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def nccl():
    """The packaged one, which torch loads where it is there; else the system's, by its file's name."""
    for major in ("13", "12", "11"):
        try:
            return importlib.metadata.version("nvidia-nccl-cu" + major)
        except importlib.metadata.PackageNotFoundError:
            continue
    for path in glob.glob("/usr/lib/*/libnccl.so.2") + glob.glob("/usr/l*/lib*/libnccl.so.2"):
        found = re.search(r"\.so\.(\d+\.\d+\.\d+)$", os.path.realpath(path))
        if found:
            return found.group(1)
    return None


def bundled(tool):
    """A tool that came with Triton."""
    triton = packages.get("triton")
    path = triton and os.path.join(triton["folder"], "backends", "nvidia", "bin", tool)
    return path if path and os.access(path, os.X_OK) else None


def cuda(tool):
    """The toolkit's own."""
    path = os.path.join(os.environ.get("CUDA_HOME") or "/usr/local/cuda", "bin", tool)
    return path if os.access(path, os.X_OK) else shutil.which(tool)


def assemblers():
    places = [
        ("TRITON_PTXAS_PATH", os.environ.get("TRITON_PTXAS_PATH")),
        ("TRITON_PTXAS_BLACKWELL_PATH", os.environ.get("TRITON_PTXAS_BLACKWELL_PATH")),
        ("triton", bundled("ptxas")),
        ("triton_blackwell", bundled("ptxas-blackwell")),
        ("cuda", cuda("ptxas")),
    ]
    found = []
    for of, path in places:
        if not path:
            continue
        release = re.search(r"\bV(\d+(?:\.\d+)+)", said([path, "--version"], TOOL) or "")
        targets = re.findall(r"'(sm_\d+[af]?)'", said([path, "--help"], TOOL) or "")
        found.append(
            {"of": of, "path": path, "version": release and release.group(1), "targets": sorted(set(targets))}
        )
    return found


def kernels():
    """By library the GPUs that it has code for, and those whose assembly it has, or why they are not known."""
    lister = bundled("cuobjdump") or cuda("cuobjdump")
    if lister is None:
        return {}, "there is no cuobjdump to list them with"
    libraries = []
    for name, pattern in (("sgl_kernel", "**/*.so"), ("vllm", "_*C*.so")):
        if name in packages:
            libraries += sorted(glob.glob(os.path.join(packages[name]["folder"], pattern), recursive=True))
    until, found = time.monotonic() + LISTING, {}
    for path in libraries:
        if os.path.getsize(path) < LEAST_BYTES:
            continue
        listed = {}
        for key, option in (("code", "--list-elf"), ("assembly", "--list-ptx")):
            answer = said([lister, option, path], max(until - time.monotonic(), 0.1))
            if answer is None and time.monotonic() >= until:
                return found, f"listing them took more than {LISTING} s"
            listed[key] = sorted(set(re.findall(r"\.(sm_\d+[af]?)\.", answer or "")))
        if listed["code"] or listed["assembly"]:
            found[path] = listed
    return found, None


def configs():
    """By folder what lies below its `configs`, and in itself."""
    places = [os.path.join(packages[name]["folder"], part) for name, part in answer["folders"]]
    found = {}
    for place in places + list(answer["variables"].values()):
        if os.path.isdir(place):
            files = glob.glob(os.path.join(place, "*.json"))
            files += glob.glob(os.path.join(place, "configs", "**", "*.json"), recursive=True)
            names = sorted(os.path.relpath(file, place) for file in files)
            found[place] = {"writable": os.access(place, os.W_OK), "files": names[:MOST_FILES]}
    return found


packages = {}
for name, distributions in order["packages"].items():
    place = folder(name)
    if place is not None:
        packages[name] = {"version": version(place, distributions), "folder": place}
answer = {
    "python": platform.python_version(),
    "packages": packages,
    "folders": [
        [name, part]
        for name, part in order["folders"]
        if name in packages and os.path.isdir(os.path.join(packages[name]["folder"], part))
    ],
    "variables": {name: os.environ[name] for name in order["variables"] if name in os.environ},
}
if order["tools"]:
    torch = text(packages["torch"]["folder"], "version.py") if "torch" in packages else ""
    built = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", torch, re.M)
    listed, trouble = kernels()
    answer["tools"] = {
        "cuda": built and built.group(1),
        "nccl": nccl(),
        "ptxas": assemblers(),
        "kernels": listed,
        "no_kernels": trouble,
        "configs": configs(),
    }
print(json.dumps(answer))
