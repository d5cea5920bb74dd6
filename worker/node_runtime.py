"""Say which serving runtimes the interpreter that runs this has, and where they would look for config files.

Output: one JSON document {"python", "packages": {name: {"version", "folder"}}, "folders": [...], "variables": {...}}.
`folder` is where the package lies; `folders` are those below the packages, out of the input's list, that are there.
Nothing is imported: a runtime takes seconds to import, and some need their GPU for it.

Input: one line of JSON {"packages": [...], "folders": [[package, part], ...], "variables": [...]}.
Standard library only, Python 3.8 and later.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys

order = json.loads(sys.stdin.readline())


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def folder(name):
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return os.path.realpath(places[0]) if places else None


packages = {}
for name in order["packages"]:
    found = {"version": version(name), "folder": folder(name)}
    if found["folder"] is not None:
        packages[name] = found
print(
    json.dumps(
        {
            "python": platform.python_version(),
            "packages": packages,
            "folders": [
                [name, part]
                for name, part in order["folders"]
                if name in packages and os.path.isdir(os.path.join(packages[name]["folder"], part))
            ],
            "variables": {name: os.environ[name] for name in order["variables"] if name in os.environ},
        }
    )
)
