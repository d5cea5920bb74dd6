"""Compiles SGLang's real kernels. The expected bytes were measured with Triton 3.5.0, 3.7.1 and 3.8.0."""

import os
import shutil
import tempfile
import time
import unittest

from tests.real import needs_real_compiler, sglang_roots
from tests.worker import GB10, GLM, QUICK, SLOW, Worker, alive, eventually, unit

BLOCK = {**GLM, "per_channel": False, "block_shape": [128, 128]}
BFLOAT16 = {**GLM, "per_channel": False, "dtype": "bfloat16"}


@needs_real_compiler
class Compile(unittest.TestCase):
    def setUp(self):
        self.worker = Worker()
        self.addCleanup(self.worker.__exit__)

    def request(self, units, shape=GLM, root=None, **more):
        root = root or sglang_roots()[0]
        request = {"id": 5, "op": "compile", "sglang_root": root, "target": GB10, "shape": shape, "units": units}
        return {**request, **more}

    def outcomes(self, units, **more):
        *events, done = self.worker.call(**self.request(units, **more))
        self.assertTrue(done["ok"], events)
        self.assertEqual(done["compiled"] + done["failed"], len(units))
        return {event["unit"]: event for event in events}

    def test_probe(self):
        for root in sglang_roots():
            probed, done = self.worker.call(id=1, op="probe", sglang_root=root)
            self.assertTrue(done["ok"])
            self.assertEqual(len(probed["kernel"]["digest"]), 64)
            self.assertIn("BLOCK_SIZE_M", probed["kernel"]["parameters"])
            self.assertTrue(probed["ptxas"]["knows_arch"], probed["ptxas"])

    def test_shared_memory_is_what_was_measured(self):
        winner = (64, 128, 256, 4, 3)
        units = [unit("up", winner), unit("down", winner, role="down"), unit("w8", (128, 64, 128, 8, 3))]
        for root in sglang_roots():
            with self.subTest(root):
                got = self.outcomes(units, root=root)
                shared = {name: event["shared_bytes"] for name, event in got.items()}
                self.assertEqual(shared, {"up": 98304, "down": 98304, "w8": 49152})
                self.assertGreater(got["up"]["registers"], 0)

    def test_block_quantisation_takes_scratch(self):
        got = self.outcomes([unit("m128", (128, 64, 64, 4, 3)), unit("n256", (32, 256, 64, 4, 3))], shape=BLOCK)
        self.assertEqual([got[name]["shared_bytes"] for name in ("m128", "n256")], [24576 + 512, 36864 + 1024])

    def test_sglangs_default_leaves_warps_and_stages_open(self):
        entry = unit("default", (16, 32, 64, 4, 3))
        del entry["config"]["num_warps"], entry["config"]["num_stages"]
        both = self.outcomes([entry, unit("spelled out", (16, 32, 64, 4, 3))], shape=BFLOAT16)
        self.assertEqual(both["default"]["binary_sha256"], both["spelled out"]["binary_sha256"])

    def test_the_same_unit_gives_the_same_binary(self):
        twice = self.outcomes([unit("a", QUICK), unit("b", QUICK)])
        self.assertEqual(twice["a"]["binary_sha256"], twice["b"]["binary_sha256"])

    def test_configs_nobody_can_compile_fail_alone(self):
        narrow = unit("narrow", (16, 32, 8, 4, 2))
        odd, tma = unit("odd", (48, 32, 64, 4, 2)), unit("tma", QUICK, USE_TMA=True)
        got = self.outcomes([tma, odd, narrow, unit("good", QUICK)])
        for name in ("tma", "odd", "narrow"):
            self.assertEqual((got[name]["outcome"], got[name]["reason"]), ("failed", "invalid_config"), got[name])
        self.assertIn("TMA", got["tma"]["message"])
        self.assertEqual(got["good"]["outcome"], "compiled")

    def test_a_crash_of_the_compiler_is_an_outcome(self):
        # Triton 3.5 fails on this tile; later ones compile it.
        for root in sglang_roots():
            shape = {**BFLOAT16, "expert_parallel": True}
            got = self.outcomes([unit("a", (256, 64, 64, 4, 2))], shape=shape, root=root)["a"]
            if got["outcome"] == "compiled":
                self.assertEqual(got["shared_bytes"], 40960)
            else:
                self.assertEqual(got["reason"], "compiler_crash", got)
                self.assertIn("does not dominate", got["message"])

    def test_a_target_nobody_knows(self):
        got = self.outcomes([unit("a", QUICK)], target={"arch": "sm_999a", "capability": 999})
        self.assertEqual((got["a"]["outcome"], got["a"]["reason"]), ("failed", "unsupported_target"), got)
        self.assertIn("_PATH", got["a"]["message"])

    def test_an_arch_triton_would_not_use(self):
        error, done = self.worker.call(**self.request([], target={"arch": "sm_121", "capability": 121}))
        self.assertEqual(error["code"], "bad_request")
        self.assertIn("sm_121a", error["message"])
        self.assertFalse(done["ok"])

    def test_a_timeout_fails_the_unit_and_leaves_nothing(self):
        got = self.outcomes([unit("slow", SLOW)], timeout_s=1)
        self.assertEqual(got["slow"]["reason"], "timeout")
        # The guardian stays, for as long as the worker does.
        self.assertTrue(eventually(lambda: len(self.worker.descendants()) == 1))

    def start_slow_compile(self):
        self.worker.send(**self.request([unit("a", SLOW), unit("b", SLOW)], jobs=2))
        # Two children and the guardian.
        self.assertTrue(eventually(lambda: len(self.worker.descendants()) >= 3))
        time.sleep(0.5)
        return self.worker.descendants()

    def test_cancel(self):
        running = self.start_slow_compile()
        self.worker.send(id=6, op="cancel", cancels=5)
        cancelled, answered = self.worker.next(), self.worker.next()
        self.assertEqual((cancelled["id"], cancelled["cancelled"], cancelled["ok"]), (5, True, False))
        self.assertEqual((answered["id"], answered["ok"]), (6, True))
        self.assertTrue(eventually(lambda: len(self.worker.descendants()) == 1))
        self.assertEqual(sum(map(alive, running)), 1)
        self.assertEqual(self.outcomes([unit("after", QUICK)])["after"]["outcome"], "compiled")

    def test_it_answers_while_it_compiles(self):
        self.start_slow_compile()
        started = time.monotonic()
        self.assertTrue(self.worker.call(id=8, op="probe", sglang_root=sglang_roots()[0])[-1]["ok"])
        self.assertLess(time.monotonic() - started, 5)

    def test_nothing_survives_the_worker(self):
        for end in ("stdin closes", "SIGTERM", "SIGKILL"):
            scratch = tempfile.mkdtemp()
            self.addCleanup(shutil.rmtree, scratch)
            with self.subTest(end), Worker(TMPDIR=scratch) as self.worker:
                running = self.start_slow_compile()
                if end == "stdin closes":
                    self.worker.process.stdin.close()
                elif end == "SIGTERM":
                    self.worker.process.terminate()
                else:
                    self.worker.kill()
                self.worker.process.wait(10)
                self.assertTrue(eventually(lambda: not any(map(alive, running))))
                self.assertTrue(eventually(lambda: not os.listdir(scratch)), os.listdir(scratch))


if __name__ == "__main__":
    unittest.main()
