"""A node's answer has bounds, whatever its files and tools are like."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from node import facts as node_facts


def python(text):
    return (sys.executable, "-c", text)


class Commands(unittest.TestCase):
    def test_what_becomes_of_a_command(self):
        ended = node_facts.run(python("import sys; print('out'); sys.stderr.write('log'); sys.exit(3)"), (), 20)
        self.assertEqual(ended, {"exit": {"status": 3, "stdout": "out\n", "stderr": "log", "cut": False}})
        self.assertEqual(node_facts.run(("/no/such/program",), (), 5), "missing")
        refused = node_facts.run((os.getcwd(),), (), 5)
        self.assertEqual(refused, {"refused": {"why": "Permission denied"}})

    def test_a_command_that_hangs_is_given_up(self):
        begun = time.monotonic()
        ended = node_facts.run_all({"a": ("sleep", "60"), "b": ("sleep", "60")}, limit_s=0.2)
        self.assertEqual(ended, {"a": {"timed_out": {"limit_s": 0.2}}, "b": {"timed_out": {"limit_s": 0.2}}})
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_stream_that_another_program_holds_open_is_not_waited_for(self):
        begun = time.monotonic()
        ended = node_facts.run(("sh", "-c", "echo here; sleep 20 & exit 0"), (), 10)
        self.assertEqual((ended["exit"]["stdout"], ended["exit"]["cut"]), ("here\n", True))
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_long_answer_is_cut_and_an_endless_line_too(self):
        for text in ("x\\n", "x"):
            ended = node_facts.run(python(f"import sys; sys.stdout.write('{text}' * 1_000_000)"), (), 20)
            self.assertLessEqual(len(ended["exit"]["stdout"]), node_facts.MOST_OF_A_STREAM)
            self.assertTrue(ended["exit"]["cut"])

    def test_of_a_log_only_what_is_looked_for_is_kept(self):
        log = "print('a\\n' * 500_000 + 'NVRM: [NV_ERR_NO_MEMORY] x\\n' + 'b\\n' * 500_000)"
        ended = node_facts.run(python(log), node_facts.MEMORY_TRACES, 20)
        self.assertEqual((ended["exit"]["stdout"], ended["exit"]["cut"]), ("NVRM: [NV_ERR_NO_MEMORY] x\n", False))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def test_what_cannot_be_read_says_why_and_what_is_not_there_is_left_out(self):
        files = node_facts.Files()
        text = self.write("text", b" a\xff \n")
        self.assertEqual(files.read(text), "a\ufffd")
        self.assertIsNone(files.read(text + "-not"))
        self.assertIsNone(files.read(str(self.folder)))
        self.assertEqual((files.files, files.unreadable), ({text: "a\ufffd"}, {str(self.folder): "Is a directory"}))

    def test_long_files_and_many_files_end(self):
        files = node_facts.Files()
        long = self.write("long", b"x" * (node_facts.MOST_OF_A_FILE + 1))
        files.read(long)
        self.assertEqual(files.unreadable, {long: "longer than what is read"})
        large = self.write("large", b"x" * node_facts.MOST_OF_A_FILE)
        for number in range(40):
            link = self.folder / f"large{number}"
            link.symlink_to(large)
            files.read(str(link))
        self.assertLessEqual(sum(map(len, files.files.values())), node_facts.MOST_OF_ALL_FILES)
        self.assertFalse(files.cut)

    def test_more_paths_than_are_read_are_told(self):
        files = node_facts.Files()
        files.files = {str(number): "" for number in range(node_facts.MOST_PATHS)}
        self.assertIsNone(files.read(self.write("text", b"a")))
        self.assertTrue(files.cut)

    def test_of_a_gid_table_what_is_set_is_read(self):
        gid = "0000:0000:0000:0000:0000:ffff:c0a8:640a"
        for index, text in enumerate((gid, node_facts.NO_GID, gid)):
            self.write(f"gids/{index}", text.encode() + b"\n")
            self.write(f"gid_attrs/types/{index}", b"RoCE v2\n")
        files = node_facts.Files()
        files.read_gids(str(self.folder))
        self.assertEqual(
            {path[len(str(self.folder)) :]: text for path, text in files.files.items()},
            {
                "/gids/0": gid,
                "/gid_attrs/types/0": "RoCE v2",
                "/gids/2": gid,
                "/gid_attrs/types/2": "RoCE v2",
            },
        )


class Answer(unittest.TestCase):
    def test_the_program_answers_one_line_of_json(self):
        program = Path(node_facts.__file__).read_text()
        ended = subprocess.run([sys.executable, "-I", "-"], input=program, capture_output=True, text=True, timeout=60)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        (line,) = ended.stdout.splitlines()
        answer = json.loads(line)
        self.assertEqual(answer["format"], node_facts.FORMAT)
        self.assertIn("/proc/meminfo", answer["files"])
        self.assertEqual(set(answer["commands"]), set(node_facts.COMMANDS))
        self.assertLessEqual(answer["time_s"], time.time())


if __name__ == "__main__":
    unittest.main()
