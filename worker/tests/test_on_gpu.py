"""What only a GPU can show. Skipped without one; SPARK_GPU=1 lets it run and fail instead."""

import os
import tempfile
import unittest

from tests.real import needs_interpreter, sglang_roots
from tests.test_gpu import has_gpu
from tests.test_multiply import CHANNELS, FP8, INT8, W4A16, W8A16, runtime_of
from tests.worker import Worker, config, unit

SHAPE = {
    "experts": 16,
    "intermediate": 256,
    "hidden": 512,
    "top_k": 4,
    "dtype": "bfloat16",
    "block_shape": None,
    "per_channel": False,
    "gated": True,
}
BLOCKS, GROUPS = {"block_shape": [128, 128]}, {"block_shape": [0, 128]}
MODES = (
    {},
    {"dtype": "float16"},
    FP8,
    {**FP8, **CHANNELS},
    {**FP8, **BLOCKS},
    {**INT8, **CHANNELS},
    {**INT8, **BLOCKS},
    {**W8A16, **CHANNELS},
    {**W8A16, **GROUPS},
    {**W4A16, **GROUPS},
)
TILE = (16, 64, 64, 4, 3)
# More shared memory than any GPU has, in two bytes an element.
TOO_LARGE = (128, 256, 128, 8, 5)


@unittest.skipUnless(has_gpu() or os.environ.get("SPARK_GPU") == "1", "no GPU")
@needs_interpreter
class OnGpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.worker = Worker()
        self.addCleanup(self.worker.__exit__)

    def prepare(self, root, changes=None, **more):
        request = {"sglang_root": root, "runtime": runtime_of(root), "shape": {**SHAPE, **(changes or {})}, **more}
        prepared, done = self.worker.call(id=1, op="prepare", max_tokens=1024, cache_dir=self.folder, **request)
        self.assertTrue(done["ok"], prepared)

    def measure(self, *arms, order, batch_size=64, kind="uniform"):
        routing = {"kind": kind, "seed": 3}
        request = {"batch_size": batch_size, "routing": routing, "arms": arms, "order": order}
        *events, done = self.worker.call(id=2, op="measure", **request)
        self.assertTrue(done["ok"], events)
        return events, done

    def test_every_mode_is_multiplied_rightly_and_timed(self):
        entry = config(*TILE)
        alone = [{"role": role, "config": entry} for role in ("up", "down")]
        arms = [*alone, {"role": "path", "up": entry, "down": entry}]
        order = [0, 1, 2, 2, 1, 0] * 5
        for root in sglang_roots():
            for mode in MODES:
                self.prepare(root, mode)
                for batch_size, kind in ((1, "uniform"), (64, "skewed"), (1024, "uniform")):
                    with self.subTest(root=root, mode=mode, batch_size=batch_size):
                        events, done = self.measure(*arms, order=order, batch_size=batch_size, kind=kind)
                        timed = [event for event in events if event["event"] == "timed"]
                        self.assertEqual([event["arm"] for event in timed], order, events)
                        fastest = [min(e["time_us"] for e in timed if e["arm"] == arm) for arm in range(3)]
                        self.assertGreater(fastest[2], max(fastest[:2]))
                        self.assertGreater(done["gpu_seconds"], 0)

    def test_a_kernel_that_wants_too_much_is_told_and_costs_nothing_else(self):
        self.prepare(sglang_roots()[0])
        arms = [{"role": "up", "config": config(*tile)} for tile in (TOO_LARGE, TILE)]
        events, _ = self.measure(*arms, order=[0, 1])
        failed = [(event["arm"], event["outcome"]) for event in events if event["event"] == "arm_failed"]
        self.assertEqual(failed, [(0, "out_of_resources")], events)
        self.assertEqual(events[-1]["event"], "timed")

    def test_what_was_compiled_before_is_launched(self):
        root = sglang_roots()[0]
        device, _ = self.worker.call(id=1, op="device")
        target = {"capability": device["capability"]}
        probed, _ = self.worker.call(id=1, op="probe", sglang_root=root, target=target)
        target["arch"] = probed["ptxas"]["arch"]
        launches = [(role, size) for role in ("up", "down") for size in (64, 1024)]
        units = [{**unit(f"{role} {size}", TILE, role=role), "batch_size": size} for role, size in launches]
        request = {"sglang_root": root, "target": target, "shape": SHAPE, "units": units, "cache_dir": self.folder}
        done = self.worker.call(id=1, op="compile", **request)[-1]
        self.assertEqual(done["compiled"], len(units))
        self.prepare(root)
        arms = [{"role": role, "config": config(*TILE)} for role in ("up", "down")]
        for batch_size in (64, 1024):
            self.assertEqual(self.measure(*arms, order=[0, 1], batch_size=batch_size)[1]["compiled"], 0)


if __name__ == "__main__":
    unittest.main()
