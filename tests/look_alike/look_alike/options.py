"""The command line, by the option table of the release.

Tables lie in `releases/`: names, how many values in argparse's terms, and choices, with tabs between. They are what
`worker/node/options.py` reads in the sources of the wheels (`tests/real_options.rs` holds them against those).
"""

import argparse
import os
import sys

RELEASES = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "releases")
COUNTS = {"one": None, "optional": "?", "many": "+", "any": "*", "unknown": "*"}


def release_of(package, own):
    release = os.environ.get("LOOK_ALIKE_RELEASE") or own
    if not os.path.exists(table_of(package, release)):
        known = ", ".join(sorted(name[:-4] for name in os.listdir(RELEASES)))
        sys.exit(f"LOOK_ALIKE_RELEASE: no look-alike of {package} {release}; known: {known}")
    return release


def table_of(package, release):
    return os.path.join(RELEASES, f"{package}-{release}.tsv")


class Flexible(argparse.ArgumentParser):
    """vLLM's `FlexibleArgumentParser` takes `_` for `-` in names, and `--help=all`."""

    def parse_known_args(self, args=None, namespace=None):
        return super().parse_known_args([flexible(word) for word in args], namespace)


def flexible(word):
    name, equals, value = word.partition("=")
    if name == "--help":
        return name
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


# What SGLang calls so, whatever other names a release puts before it.
ASKED = ["--model-path", "--tp-size", "--pp-size"]


def parser(package, release, prog, parser_class=argparse.ArgumentParser):
    made = parser_class(prog=prog)
    with open(table_of(package, release), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    for names, count, *choices in rows:
        names = names.split(" ")
        if count == "positional":
            made.add_argument(names[0], nargs="?")
            continue
        asked = {"dest": name[2:].replace("-", "_") for name in names if name in ASKED}
        if count == "none":
            made.add_argument(*names, action="store_true", **asked)
        else:
            choices = choices[0].split(",") if choices else None
            made.add_argument(*names, nargs=COUNTS[count], choices=choices, **asked)
    return made
