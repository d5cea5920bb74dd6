"""A runtime's options, by its help and by its source."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

from node import options as node_options

SERVE = """
    import argparse, sys
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights")
    parser.parse_args()
"""

ARGS = '''
    KINDS = ["a", "b"]
    def add_cli_args(parser):
        parser.add_argument("name")
        parser.add_argument("--weights", "--model", type=str, required=True)
        parser.add_argument("--kind", choices=KINDS, default="a")
        parser.add_argument("--ports", nargs="+")
        parser.add_argument("--dry", action="store_true", help="(Deprecated, no use) Nothing.")
        parser.add_argument("--warm", action=argparse.BooleanOptionalAction)
        parser.add_argument("--old", action=OldStoreTrueAction)
        parser.add_argument("--odd", action=Whatever)
        parser.add_argument(f"--{computed}")
    class Fields:
        """host: A[str, "no field"]"""
        host: A[str, "Where."] = "localhost"
        port: A[Optional[int], Arg(help="Deprecated. Which.", aliases=["-p"])] = None
        fast_start: A[bool, Arg(help="x", cli_name="--quick")] = False
        tags: A[List[str], Arg(help="x")] = None
        json_tags: A[list[str] | None, Arg(help="x", type_parser=json.loads)] = None
        mode: A[Literal["x", "y"], "Which."] = "x"
        inner: A[int, Arg(no_cli=True)] = 0
        plain: int = 0
'''

VLLM = """
    Kind = Literal["auto", "own"]
    class ModelConfig:
        seed: int = 0
        eager: bool = False
        kind: Kind = "auto"
        any_kind: Kind | str = "auto"
        names: list[str] | None = None
    class MyFrontendArgs:
        port: int = 8000
        enable_docs: bool = True
    class EngineArgs:
        def add_cli_args(parser):
            kwargs = get_kwargs(ModelConfig)
            group.add_argument("--seed", **kwargs["seed"])
            group.add_argument("--eager", **kwargs["eager"], deprecated=True)
            group.add_argument("--kind", "-k", **kwargs["kind"])
            group.add_argument("--any-kind", **kwargs["any_kind"])
            group.add_argument("--names", **kwargs["names"])
            group.add_argument("--elsewhere", **other["elsewhere"])
"""


class Options(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def asked(self, package, seconds=20):
        """The program as a node runs it, with the packages of the folder."""
        order = json.dumps({"package": package, "seconds": seconds}) + "\n"
        source = Path(node_options.__file__).read_text()
        code = f"import sys; sys.path.insert(0, {str(self.folder)!r}); sys.argv = ['-c']; exec({source!r})"
        environment = dict(os.environ, PYTHONPATH=str(self.folder))
        run = subprocess.run(
            [sys.executable, "-c", code], input=order, capture_output=True, text=True, env=environment, check=True
        )
        return json.loads(run.stdout)

    def read(self, package):
        answer = self.asked(package)
        self.assertIsNone(answer["help"])
        return answer, {option["names"][0]: option for option in answer["read"]}

    def test_the_help_is_what_the_command_says_from_its_usage_on(self):
        self.write("sglang/launch_server.py", "print('loading')\n" + textwrap.dedent(SERVE))
        answer = self.asked("sglang")
        self.assertTrue(answer["help"].startswith("usage: "), answer)
        self.assertIn("--weights WEIGHTS", answer["help"])
        self.assertEqual((answer["trouble"], answer["read"]), (None, []))

    def test_an_older_form_of_help_is_tried_too(self):
        refuse = "if sys.argv[2] != '--help': sys.exit('no such help')\nsys.argv.pop(1)\n"
        self.write("vllm/entrypoints/cli/main.py", "import sys\n" + refuse + textwrap.dedent(SERVE))
        self.assertIn("--weights", self.asked("vllm")["help"])

    def test_a_help_that_hangs_is_given_up_and_the_source_is_read(self):
        self.write("sglang/launch_server.py", "import time\ntime.sleep(60)\n")
        self.write("sglang/srt/server_args.py", ARGS)
        answer = self.asked("sglang", seconds=0.5)
        self.assertEqual(answer["trouble"], "its help took more than 0.5 s")
        self.assertTrue(answer["read"])

    def test_a_help_that_hangs_ends_with_whoever_asked(self):
        pid = self.folder / "pid"
        hang = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
        self.write("sglang/launch_server.py", hang)
        order = json.dumps({"package": "sglang", "seconds": 300}) + "\n"
        environment = dict(os.environ, PYTHONPATH=str(self.folder))
        program = [sys.executable, node_options.__file__]
        asking = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
        asking.stdin.write(order.encode())
        asking.stdin.close()
        until = time.monotonic() + 30
        while not (pid.exists() and pid.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        hanging = Path("/proc") / pid.read_text() / "stat"
        asking.kill()
        asking.wait()
        # Nobody may be there to bury it.
        while hanging.exists() and hanging.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            self.assertLess(time.monotonic(), until, "it goes on")
            time.sleep(0.02)

    def test_why_there_is_no_help_is_its_last_word(self):
        self.write("sglang/launch_server.py", "raise RuntimeError('no GPU')\n")
        answer, _ = self.read("sglang")
        self.assertEqual((answer["trouble"], answer["read"]), ("RuntimeError: no GPU", []))

    def test_calls_and_fields_are_options(self):
        self.write("sglang/__init__.py", "raise SystemExit('imported')\n")
        self.write("sglang/srt/server_args.py", ARGS)
        self.write("sglang/srt/arg_groups/broken.py", "def (\n")
        answer, options = self.read("sglang")
        self.assertEqual(answer["positional"], ["name"])
        values = {
            "--weights": "one", "--kind": "one", "--ports": "many", "--dry": "none", "--warm": "none",
            "--old": "none", "--odd": "unknown", "--host": "one", "--port": "one", "--quick": "none",
            "--tags": "many", "--json-tags": "one", "--mode": "one",
        }  # fmt: skip
        self.assertEqual({name: option["values"] for name, option in options.items()}, values)
        self.assertEqual(options["--weights"]["names"], ["--weights", "--model"])
        self.assertEqual(options["--warm"]["names"], ["--warm", "--no-warm"])
        self.assertEqual(options["--port"]["names"], ["--port", "-p"])
        self.assertEqual((options["--kind"]["choices"], options["--kind"]["default"]), (["a", "b"], "a"))
        self.assertEqual(options["--mode"]["choices"], ["x", "y"])
        self.assertEqual({name for name, option in options.items() if option["deprecated"]}, {"--dry", "--port"})

    def test_options_that_are_made_of_a_config_have_its_types(self):
        self.write("vllm/engine/arg_utils.py", VLLM)
        _, options = self.read("vllm")
        shown = {name: (option["values"], option["choices"]) for name, option in options.items()}
        expected = {
            "--seed": ("one", None),
            "--eager": ("none", None),
            "--kind": ("one", ["auto", "own"]),
            "--any-kind": ("one", None),
            "--names": ("unknown", None),
            "--elsewhere": ("unknown", None),
            "--port": ("one", None),
            "--enable-docs": ("none", None),
        }
        self.assertEqual(shown, expected)
        self.assertEqual(options["--eager"]["names"], ["--eager", "--no-eager"])
        self.assertEqual(options["--enable-docs"]["names"], ["--enable-docs", "--no-enable-docs", "--disable-docs"])
        self.assertTrue(options["--eager"]["deprecated"])


if __name__ == "__main__":
    unittest.main()
