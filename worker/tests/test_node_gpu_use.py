"""Who computes on a node's GPUs, by the words of a look-alike of nvidia-smi."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "node" / "gpu_use.py"


def pids(script):
    """What is answered where `script` is nvidia-smi; None: there is none."""
    with tempfile.TemporaryDirectory() as folder:
        if script is not None:
            path = Path(folder) / "nvidia-smi"
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        environment = {**os.environ, "PATH": folder}
        command = [sys.executable, "-I", str(PROGRAM)]
        said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    answer = json.loads(said.stdout)
    assert list(answer) == ["pids"]
    return answer["pids"]


class GpuUse(unittest.TestCase):
    def test_processes_are_told_once_each(self):
        self.assertEqual(pids("echo 4711; echo ' 7 '; echo 4711"), [7, 4711])

    def test_it_is_asked_for_processes_alone(self):
        self.assertEqual(pids('test "$1 $2" = "--query-compute-apps=pid --format=csv,noheader,nounits" && echo 7'), [7])

    def test_what_is_no_process_is_none(self):
        for script in ("", "echo '[N/A]'", "echo 'No devices were found'", "echo -5; echo 1.5; echo '²'", None):
            self.assertEqual(pids(script), [], script)

    def test_what_fails_says_nothing_of_processes(self):
        self.assertIsNone(pids("echo 7; exit 9"))


if __name__ == "__main__":
    unittest.main()
