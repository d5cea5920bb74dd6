"""What `compile` keeps in a cache folder, a launch through Triton's own launcher finds there."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.fake_driver import ARCH, CAPABILITY
from tests.real import needs_real_compiler, sglang_roots
from tests.worker import GLM, QUICK, Worker, unit

BLOCK = {**GLM, "per_channel": False, "block_shape": [128, 128]}
INT4 = {**GLM, "per_channel": False, "dtype": "int4_w4a16", "block_shape": [0, 128]}
BFLOAT16 = {**GLM, "per_channel": False, "dtype": "bfloat16"}
OTHER = (16, 64, 64, 4, 3)


def launches(root, fields, units, folder):
    done = subprocess.run(
        [sys.executable, "-m", "tests.fake_driver"],
        input=json.dumps({"root": root, "fields": fields, "units": units, "folder": folder}),
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_real_compiler
class KeptBinaries(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def compile(self, root, fields, units):
        with Worker() as worker:
            *events, done = worker.call(
                id=1,
                op="compile",
                sglang_root=root,
                target={"arch": ARCH, "capability": CAPABILITY},
                shape=fields,
                units=units,
                cache_dir=self.folder,
            )
        self.assertEqual(done["failed"], 0, events)
        return events

    def test_a_launch_compiles_nothing_again(self):
        units = [unit("up", QUICK), unit("down", QUICK, role="down"), {**unit("large", QUICK), "batch_size": 1024}]
        for root in sglang_roots():
            for fields in (GLM, BLOCK, INT4, BFLOAT16):
                with self.subTest(root=root, shape=fields):
                    self.compile(root, fields, units)
                    *kept, new = launches(root, fields, [*units, unit("new", OTHER)], self.folder)
                    for hits, launched in kept:
                        # Found once, launched twice. Not even looked for where the process has it:
                        # the grouped kernel is the same at every batch size.
                        self.assertIn(hits, ([True], []))
                        self.assertEqual(launched, 2)
                    self.assertEqual(kept[0][0], [True])
                    # What was not compiled before is compiled now.
                    self.assertEqual(new, [[False], 2])

    def test_what_is_kept_is_compiled_all_the_same_when_asked_for(self):
        root = sglang_roots()[0]
        first, second = (self.compile(root, GLM, [unit("a", QUICK)])[0] for _ in range(2))
        self.assertEqual(first["registers"], second["registers"])
        self.assertEqual(first["binary_sha256"], second["binary_sha256"])

    def test_without_a_folder_nothing_is_kept(self):
        with Worker(TRITON_CACHE_DIR=self.folder) as worker:
            target = {"arch": ARCH, "capability": CAPABILITY}
            root = sglang_roots()[0]
            units = [unit("a", QUICK)]
            worker.call(id=1, op="compile", sglang_root=root, target=target, shape=GLM, units=units)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
