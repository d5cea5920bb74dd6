"""Say which options a serving runtime's command takes, by its own help, or by its source where that does not run.

Input: one line of JSON {"package": "sglang" or "vllm", "seconds": how long the help may take}.
Standard library only, Python 3.8 and later.

Output: one JSON document {"help": what it said or null, "trouble": why not or null, "read": [...],
"positional": [...]}. `read` and `positional` are there where there is no help. Each of `read` is {"names", "values",
"choices", "default", "deprecated"}; `values` is none, one, optional, many, any, or unknown where the source does not
say it outright.

A runtime may need its GPU even for its help: vLLM 0.11.2 ends with "Failed to infer device type" without. Its source is
read as text then and never run. Options come in three forms there: calls of `add_argument`; fields `name: A[type, ...]`
(SGLang since 0.5.11); and fields of classes that vLLM makes options of.
"""

import ast
import ctypes
import glob
import importlib.util
import json
import os
import signal
import subprocess
import sys

# The newer form first. Old ones show everything by the plain word.
COMMANDS = {
    "sglang": [["-m", "sglang.launch_server", "--help"]],
    "vllm": [["-m", "vllm.entrypoints.cli.main", "serve", word] for word in ("--help=all", "--help")],
}
# Where the options are, below the package.
SOURCES = {
    "sglang": ["srt/server_args.py", "srt/arg_groups/*.py", "srt/arg_groups/fields/*.py"],
    "vllm": [
        "engine/arg_utils.py",
        "config/*.py",
        "entrypoints/openai/cli_args.py",
        "entrypoints/common/cli_args.py",
        "entrypoints/cli/serve.py",
    ],
}
MOST_HELP = 2 << 20
NOTHING = ("store_true", "store_false", "store_const", "append_const", "count", "help", "version")


def end_with_parent():
    """In a session of its own nothing else ends it where this program is killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run_help(arguments, seconds):
    """(what it said, why it did not). Lines as wide as they are, so that nothing is wrapped."""
    quiet = {"COLUMNS": "4000", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, **quiet),
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        output, log = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, f"its help took more than {seconds:g} s"
    output = output[:MOST_HELP].decode("utf-8", "replace")
    begin = output.find("usage:")
    if process.returncode == 0 and begin >= 0:
        return output[begin:], None
    last = log.decode("utf-8", "replace").strip().splitlines()[-1:]
    return None, (last or [f"it ended with {process.returncode} and no help"])[0][:300]


def name_of(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def constant(node):
    return node.value if isinstance(node, ast.Constant) else None


def inside(subscript):
    # Python 3.8 wraps it.
    index = subscript.slice
    return index.value if type(index).__name__ == "Index" else index


def is_deprecated(help_text):
    return help_text.lstrip("[(").lower().startswith("deprecated")


class Reader:
    """The options that sources speak of."""

    def __init__(self, files):
        self.trees, self.lists, self.aliases, self.fields, self.classes = [], {}, {}, {}, {}
        for file in files:
            try:
                with open(file, encoding="utf-8") as source:
                    self.trees.append(ast.parse(source.read()))
            except (OSError, SyntaxError, ValueError):
                continue
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self.assigned(node.targets[0].id, node.value)
                elif isinstance(node, ast.ClassDef):
                    self.classes[node.name] = node
                    for field in node.body:
                        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                            self.fields.setdefault(field.target.id, []).append((node.name, field))
        self.options, self.positional = [], []

    def assigned(self, name, value):
        if isinstance(value, (ast.List, ast.Tuple, ast.Set)) and value.elts:
            words = [constant(word) for word in value.elts]
            if all(isinstance(word, str) for word in words):
                self.lists[name] = words
        elif isinstance(value, ast.Subscript) and name_of(value.value) in ("Literal", "Union", "Optional"):
            self.aliases[name] = value
        elif isinstance(value, ast.Call) and name_of(value.func) == "get_kwargs" and value.args:
            self.lists.setdefault("get_kwargs", {})[name] = name_of(value.args[0])

    def choices(self, node):
        if isinstance(node, ast.Name):
            return self.lists.get(node.id)
        if isinstance(node, (ast.List, ast.Tuple)):
            words = [constant(word) for word in node.elts]
            return [str(word) for word in words] if None not in words else None
        return None

    def add(self, names, values, choices=None, default=None, deprecated=False):
        default = None if default is None else str(default)
        self.options.append(
            {"names": names, "values": values, "choices": choices, "default": default, "deprecated": deprecated}
        )

    def read(self):
        for tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and name_of(node.func) == "add_argument":
                    self.called(node)
                elif isinstance(node, ast.ClassDef):
                    for field in node.body:
                        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                            self.annotated(node, field)
        # What one class says is said again where another inherits it.
        seen, once = set(), []
        for option in self.options:
            if not seen.intersection(option["names"]):
                once.append(option)
                seen.update(option["names"])
        return once, self.positional

    def called(self, call):
        names = [constant(word) for word in call.args]
        if not names or not all(isinstance(name, str) for name in names):
            return
        if not names[0].startswith("-"):
            self.positional.append(names[0])
            return
        keywords = {word.arg: word.value for word in call.keywords}
        help_text = constant(keywords.get("help")) or ""
        deprecated = bool(constant(keywords.get("deprecated"))) or is_deprecated(help_text)
        choices, default = self.choices(keywords.get("choices")), constant(keywords.get("default"))
        if None in keywords:
            extra, values, found = self.by_field(keywords[None])
            names += [name for name in extra if name not in names] if len(names) == 1 else []
            choices = choices or found
        else:
            values = "one"
        if "action" in keywords:
            names, values = self.by_action(names, keywords["action"], keywords)
        elif "nargs" in keywords:
            values = self.by_count(keywords["nargs"])
        self.add(names, values, choices, default, deprecated)

    def by_action(self, names, action, keywords):
        word = constant(action) or name_of(action)
        if word == "BooleanOptionalAction":
            return names + ["--no-" + name[2:] for name in names if name.startswith("--")], "none"
        if word in NOTHING or "StoreTrue" in word or constant(keywords.get("nargs")) == 0:
            return names, "none"
        if "nargs" in keywords:
            return names, self.by_count(keywords["nargs"])
        return names, "one" if word in ("store", "append") else "unknown"

    def by_count(self, node):
        count = constant(node)
        return {"?": "optional", "+": "many", "*": "any", None: "one", 0: "none", 1: "one"}.get(count, "unknown")

    def by_field(self, node):
        """Further names, values and choices of an option that vLLM makes of the field that `kwargs["field"]` names."""
        key = inside(node) if isinstance(node, ast.Subscript) else None
        field = constant(key)
        holder = self.lists.get("get_kwargs", {}).get(name_of(node.value)) if key is not None else None
        found = [at for owner, at in self.fields.get(field, []) if holder in (None, owner)]
        if len(found) != 1:
            return [], "unknown", None
        return self.by_type(found[0])

    def words(self, node, depth=0):
        """Every type that an annotation is made of, those behind other names included."""
        found = []
        for part in ast.walk(node):
            name = name_of(part)
            if name in self.aliases and depth < 4:
                found += self.words(self.aliases[name], depth + 1)
            elif name:
                found.append(name)
        return found

    def literals(self, node, depth=0):
        found = []
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript) and name_of(part.value) == "Literal":
                found += [constant(word) for word in ast.walk(part.slice) if isinstance(word, ast.Constant)]
            elif name_of(part) in self.aliases and depth < 4:
                found += self.literals(self.aliases[name_of(part)], depth + 1)
        return [word for word in found if isinstance(word, str)]

    def by_type(self, field):
        words, flag = self.words(field.annotation), "--" + field.target.id.replace("_", "-")
        if "bool" in words:
            # Newer releases write the opposite of `--enable-x` as `--disable-x`, and the other way round.
            opposite = ["--no-" + flag[2:]]
            for begin, other in (("--enable-", "--disable-"), ("--disable-", "--enable-")):
                if flag.startswith(begin):
                    opposite.append(other + flag[len(begin) :])
            return ([], "optional", None) if "str" in words else (opposite, "none", None)
        if {"list", "List", "tuple", "set"}.intersection(words):
            # Some are given as one text of JSON.
            return [], "unknown", None
        if "Literal" in words:
            only = not {"str", "Any"}.intersection(words)
            return [], "one", (self.literals(field.annotation) or None) if only else None
        return [], "one", None

    def annotated(self, owner, field):
        """A field that is an option: `name: A[type, ...]`, or any of a class of vLLM's front end."""
        flag = "--" + field.target.id.replace("_", "-")
        if owner.name.endswith("FrontendArgs"):
            extra, values, choices = self.by_type(field)
            self.add([flag, *extra], values, choices, constant(field.value) if field.value else None)
            return
        note = field.annotation
        if not (isinstance(note, ast.Subscript) and name_of(note.value) in ("A", "Annotated")):
            return
        inner = inside(note)
        kind, *notes = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        arg = next((it for it in notes if isinstance(it, ast.Call) and name_of(it.func) == "Arg"), None)
        if arg is None and not any(isinstance(it, (ast.Constant, ast.JoinedStr, ast.BinOp)) for it in notes):
            return
        keywords = {word.arg: word.value for word in arg.keywords} if arg else {}
        if constant(keywords.get("no_cli")):
            return
        names = [constant(keywords.get("cli_name")) or flag, *(self.choices(keywords.get("aliases")) or [])]
        default = constant(field.value) if field.value else None
        choices = self.choices(keywords.get("choices")) or self.literals(kind) or None
        if "action" in keywords:
            names, values = self.by_action(names, keywords["action"], {})
        elif "nargs" in keywords:
            values = self.by_count(keywords["nargs"])
        else:
            bare = self.bare(kind)
            listed = isinstance(bare, ast.Subscript) and name_of(bare.value) in ("List", "list")
            values = "many" if listed and "type_parser" not in keywords else "one"
            values = "none" if name_of(bare) == "bool" else values
        said = constant(keywords.get("help")) or next((constant(it) for it in notes if constant(it)), "")
        self.add(names, values, choices, default, is_deprecated(str(said)))

    def bare(self, kind):
        """A type without `Optional` or `| None`."""
        if isinstance(kind, ast.Subscript) and name_of(kind.value) == "Optional":
            return inside(kind)
        if isinstance(kind, ast.BinOp) and isinstance(kind.right, ast.Constant) and kind.right.value is None:
            return kind.left
        return kind


def main():
    order = json.loads(sys.stdin.readline())
    answer = {"help": None, "trouble": None, "read": [], "positional": []}
    for arguments in COMMANDS[order["package"]]:
        answer["help"], answer["trouble"] = run_help(arguments, order["seconds"])
        if answer["help"] or "took more than" in answer["trouble"]:
            break
    if not answer["help"]:
        try:
            spec = importlib.util.find_spec(order["package"])
        except (ImportError, ValueError):
            spec = None
        for place in list(spec.submodule_search_locations or [])[:1] if spec else []:
            patterns = [os.path.join(place, part) for part in SOURCES[order["package"]]]
            files = [file for pattern in patterns for file in sorted(glob.glob(pattern))]
            answer["read"], answer["positional"] = Reader(files).read()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
