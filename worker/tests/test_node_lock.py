"""One holder at a time, who has it is said, and the lock ends with its holder or with its silence."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "node" / "lock.py"


class Lock(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.environment = {**os.environ, "TMPDIR": folder.name}

    def ask(self, name="lab", who="me", peek=False, leash_s=60):
        process = subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # -I takes no notice of PYTHON* alone.
            env=self.environment,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        order = {"name": name, "who": who, "peek": peek, "leash_s": leash_s}
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        return process, json.loads(process.stdout.readline())["held_by"]

    def test_the_second_is_told_who_has_it_until_the_first_is_gone(self):
        first, held = self.ask(who="anna (desk:7)")
        self.assertIsNone(held)
        self.assertEqual(self.ask(who="ben")[1], "anna (desk:7)")
        self.assertEqual(self.ask(peek=True)[1], "anna (desk:7)")
        self.assertIsNone(self.ask(name="another")[1])
        first.kill()
        first.wait()
        self.assertIsNone(self.ask(peek=True)[1])
        self.assertIsNone(self.ask(who="ben")[1])

    def test_it_ends_with_the_input_and_with_silence(self):
        first, _ = self.ask()
        first.stdin.close()
        self.assertEqual(first.wait(timeout=20), 0)
        silent, held = self.ask(leash_s=0.2)
        self.assertIsNone(held)
        self.assertEqual(silent.wait(timeout=20), 0)
        speaks, held = self.ask(leash_s=5)
        self.assertIsNone(held)
        for _ in range(3):
            speaks.stdin.write(b".")
            speaks.stdin.flush()
        self.assertIsNone(speaks.poll())

    def test_a_look_takes_nothing(self):
        self.assertIsNone(self.ask(peek=True)[1])
        self.assertIsNone(self.ask(who="me")[1])
        self.assertEqual(self.ask(peek=True)[1], "me")
