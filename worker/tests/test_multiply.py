"""SGLang's real kernels, in Triton's interpreter, give what the reference gives: through the code
that runs on a GPU, up to the graph and the timer."""

import json
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spark_worker.installed import cpus
from spark_worker.kernel_source import find_kernel
from spark_worker.reference import tolerance
from tests.real import needs_interpreter, sglang_roots
from tests.worker import config

SHAPE = {
    "experts": 8,
    "intermediate": 64,
    "hidden": 96,
    "top_k": 2,
    "dtype": "bfloat16",
    "block_shape": None,
    "per_channel": False,
    "gated": True,
}
FP8, INT8, W8A16, W4A16 = ({"dtype": dtype} for dtype in ("fp8_w8a8", "int8_w8a8", "int8_w8a16", "int4_w4a16"))
CHANNELS, BLOCKS, GROUPS = {"per_channel": True}, {"block_shape": [16, 32]}, {"block_shape": [0, 32]}
MODES = (
    {},
    {"dtype": "float16"},
    {"dtype": "float32"},
    FP8,
    {**FP8, **CHANNELS},
    {**FP8, **BLOCKS},
    {**FP8, "block_shape": [64, 32]},
    {**INT8, **CHANNELS},
    {**INT8, **BLOCKS},
    {**W8A16, **CHANNELS},
    {**W8A16, **GROUPS},
    {**W4A16, **GROUPS},
)
PLAIN = config(16, 32, 32, 4, 2)
# Blocks of K that leave a rest, of N that are wider than a scale's, and a schedule in groups.
RAGGED = {**config(32, 64, 64, 4, 2), "GROUP_SIZE_M": 4}


def arms(entry, gated=True):
    alone = [{"role": role, "config": entry} for role in ("up", "down")]
    return [*alone, {"role": "path", "up": entry, "down": entry}] if gated else alone


def measure(batch_size, kind, entry, gated=True):
    routing = {"kind": kind, "seed": batch_size}
    return {"batch_size": batch_size, "routing": routing, "arms": arms(entry, gated)}


def runtime_of(root):
    return f"sglang-{find_kernel(root).sglang_version}"


def errors(root, changes, requests, **more):
    prepare = {
        "sglang_root": root,
        "runtime": runtime_of(root),
        "shape": {**SHAPE, **changes},
        "max_tokens": 24,
        "seed": 1,
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.interpreted"],
        input=json.dumps({"prepare": prepare, "measure": requests}),
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_interpreter
class Multiply(unittest.TestCase):
    def check(self, cases):
        """Each case (root, changes to the shape, requests, more of prepare), several at a time."""
        with ThreadPoolExecutor(cpus()) as pool:
            results = list(pool.map(lambda case: errors(*case[:3], **case[3]), cases))
        for (root, changes, requests, more), found in zip(cases, results, strict=True):
            limit = tolerance({**SHAPE, **changes}["dtype"])
            for request, each in zip(requests, found, strict=True):
                with self.subTest(root=root, shape=changes, more=more, request=request):
                    self.assertEqual(len(each), len(request["arms"]))
                    for error in each:
                        self.assertIsInstance(error, float)
                        self.assertLess(error, limit)

    def test_every_mode_role_and_routing(self):
        requests = [measure(7, "uniform", PLAIN), measure(24, "skewed", PLAIN), measure(1, "uniform", PLAIN)]
        self.check([(root, mode, requests, {}) for root in sglang_roots() for mode in MODES])

    def test_tiles_that_do_not_divide_the_matrix(self):
        requests = [measure(12, "skewed", RAGGED)]
        modes = ({}, FP8, {**FP8, **CHANNELS}, {**W8A16, **CHANNELS}, {**W8A16, **GROUPS}, {**W4A16, **GROUPS})
        self.check([(root, mode, requests, {}) for root in sglang_roots() for mode in modes])

    def test_fused_shared_experts_and_a_shape_without_a_gate(self):
        requests = [measure(9, "skewed", PLAIN, gated=False)]
        self.check(
            [
                (root, {**FP8, **CHANNELS, "top_k": 3, "gated": False}, requests, {"fused_shared_experts": 1})
                for root in sglang_roots()
            ]
        )


if __name__ == "__main__":
    unittest.main()
