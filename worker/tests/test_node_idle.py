"""A container's first process: it stays while others run, and ends when it has been alone."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

PROGRAM = pathlib.Path(__file__).parents[1] / "node/idle.py"


def in_a_namespace(script):
    """The program as the first process of a process namespace of its own, where `script` runs beside it."""
    inside = f"{script} & exec {sys.executable} {PROGRAM} 1"
    # Who is not root may be it in a namespace of users.
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--pid", "--fork", "--mount-proc", "sh", "-c", inside]


class Idle(unittest.TestCase):
    def setUp(self):
        tried = shutil.which("unshare") and subprocess.run(in_a_namespace("true"), capture_output=True)
        self.assertTrue(tried and tried.returncode == 0, f"needs unshare, and leave to use it: {tried}")

    def seconds(self, script):
        began = time.monotonic()
        subprocess.run(in_a_namespace(script), check=True, timeout=60)
        return time.monotonic() - began

    def test_it_ends_when_it_has_been_alone(self):
        self.assertGreaterEqual(self.seconds("true"), 1)

    def test_it_stays_while_somebody_works_and_counts_from_their_end(self):
        self.assertGreaterEqual(self.seconds("sleep 2.5"), 3)

    def test_the_dead_are_buried_and_do_not_keep_it(self):
        # A grandchild whose parent is gone is the first process's own.
        self.assertLess(self.seconds("(sleep 0.2 & exec true)"), 30)


if __name__ == "__main__":
    unittest.main()
