"""The measuring operations of a worker, on a look-alike of a GPU that plays the tricks of a real one."""

import os
import shutil
import signal
import tempfile
import unittest
from importlib.util import find_spec

from tests.real import needs_interpreter, sglang_roots
from tests.test_compile import alive, eventually
from tests.test_gpu import has_gpu
from tests.test_multiply import PLAIN, SHAPE, runtime_of
from tests.worker import Worker

UP, DOWN = {"role": "up", "config": PLAIN}, {"role": "down", "config": PLAIN}
PATH = {"role": "path", "up": PLAIN, "down": PLAIN}


def prepare(**changes):
    root = sglang_roots()[0]
    request = {"op": "prepare", "sglang_root": root, "runtime": runtime_of(root), "shape": SHAPE, "max_tokens": 8}
    return {"id": 1, **request, **changes}


def measure(*arms, order=None, **changes):
    request = {"op": "measure", "batch_size": 4, "routing": {"kind": "uniform", "seed": 3}}
    return {"id": 2, **request, "arms": arms, "order": list(range(len(arms))) if order is None else order, **changes}


class WithoutAnything(unittest.TestCase):
    def test_measure_wants_a_prepare_first(self):
        with Worker() as worker:
            error, done = worker.call(**measure(UP))
            self.assertEqual((error["code"], done["ok"]), ("not_prepared", False))

    @unittest.skipIf(find_spec("torch"), "torch is installed")
    @unittest.skipUnless(sglang_roots(), "no SGLang")
    def test_a_python_without_torch_says_so(self):
        with Worker() as worker:
            self.assertIn(worker.call(**prepare())[0]["code"], ("torch_missing", "triton_missing"))


@needs_interpreter
class Measure(unittest.TestCase):
    def worker(self, trick="none", prepared=True, **environment):
        interpret = "0" if trick == "tight" else "1"
        worker = Worker("tests.lookalike", trick, TRITON_INTERPRET=interpret, **environment)
        self.addCleanup(worker.__exit__)
        if prepared:
            self.assertTrue(worker.call(**prepare())[-1]["ok"])
        return worker

    def refused(self, worker, code, **request):
        *_, error, done = worker.call(**request)
        self.assertEqual((error["event"], error.get("code"), done["ok"]), ("error", code, False), error)
        return error["message"]

    @unittest.skipIf(has_gpu(), "there is a GPU")
    def test_a_machine_without_a_gpu_prepares_nothing(self):
        with Worker() as worker:
            self.assertIn("CUDA", self.refused(worker, "no_gpu", **prepare()))

    def test_prepare_says_what_it_took(self):
        prepared, done = self.worker(prepared=False).call(**prepare())
        self.assertTrue(done["ok"])
        self.assertEqual(prepared["event"], "prepared")
        # The weights alone: 8 experts of 128x96 and 96x64, two bytes each.
        self.assertGreater(prepared["bytes"], 8 * (128 * 96 + 96 * 64) * 2)
        self.assertEqual((prepared["activation"], prepared["flush_bytes"]), ("torch", 0))
        self.assertLessEqual({"torch", "triton", "sglang", "seconds"}, prepared.keys())

    def test_runs_are_timed_in_the_order_asked_for(self):
        order = [1, 0, 0, 2, 1, 2]
        *events, done = self.worker().call(**measure(UP, DOWN, PATH, UP, order=order))
        self.assertEqual([event["arm"] for event in events if event["event"] == "starting"], [1, 0, 2])
        timed = [event for event in events if event["event"] == "timed"]
        self.assertEqual([event["arm"] for event in timed], order)
        self.assertTrue(all(event["time_us"] > 0 for event in timed))
        self.assertTrue(done["ok"])
        self.assertAlmostEqual(done["gpu_seconds"], sum(event["time_us"] for event in timed) / 1e6, places=5)
        self.assertLessEqual({"seconds", "compiled", "clock_mhz", "temperature_c", "power_w", "throttle"}, done.keys())

    def test_an_arm_that_cannot_run_is_skipped(self):
        bad = {"role": "up", "config": {**PLAIN, "BLOCK_SIZE_N": 48}}
        *events, done = self.worker().call(**measure(bad, UP, order=[0, 1, 0, 1]))
        failed = [event for event in events if event["event"] == "arm_failed"]
        self.assertEqual([(event["arm"], event["outcome"]) for event in failed], [(0, "compile_failed")])
        self.assertIn("BLOCK_SIZE_N", failed[0]["message"])
        self.assertEqual([event["arm"] for event in events if event["event"] == "timed"], [1, 1])
        self.assertTrue(done["ok"])

    def test_a_kernel_that_wants_more_than_there_is(self):
        worker = self.worker("tight")
        for found_or_compiled in (1, 0):
            *events, done = worker.call(**measure(UP))
            self.assertEqual([event["event"] for event in events], ["starting", "arm_failed", "ready"])
            self.assertEqual(events[1]["outcome"], "out_of_resources", events)
            self.assertIn("shared memory", events[1]["message"])
            self.assertEqual((done["ok"], done["compiled"]), (True, found_or_compiled))

    def test_a_slow_arm_is_not_run_again(self):
        *events, _ = self.worker("slow").call(**measure(UP, DOWN, order=[0, 1, 0, 1], abort_above_us=1000.5))
        told = [(event["event"], event["arm"]) for event in events[3:]]
        self.assertEqual([event["event"] for event in events[:3]], ["starting", "starting", "ready"])
        self.assertEqual(told, [("timed", 0), ("aborted", 0), ("timed", 1), ("aborted", 1)])

    def test_a_wrong_result_is_caught(self):
        *events, done = self.worker("perturb").call(**measure(UP, DOWN, PATH))
        failed = [(event["arm"], event["outcome"]) for event in events if event["event"] == "arm_failed"]
        self.assertEqual(failed, [(arm, "wrong_result") for arm in range(3)])
        self.assertNotIn("timed", [event["event"] for event in events])
        self.assertTrue(done["ok"])

    def test_a_time_that_is_none_is_no_result(self):
        for trick in ("nan", "zero"):
            with self.subTest(trick):
                self.refused(self.worker(trick), "bad_time", **measure(UP))

    def test_too_little_memory_is_known_before_it_is_taken(self):
        worker = self.worker("crowded", prepared=False)
        message = self.refused(worker, "out_of_memory", **prepare())
        self.assertRegex(message, r"^\d+ bytes wanted, 1000 free$")
        self.refused(worker, "not_prepared", **measure(UP))

    def test_bad_fields_are_named(self):
        worker = self.worker()
        for name, request in (
            ("runtime", prepare(runtime="sglang-0.5.5")),
            ("max_tokens", prepare(max_tokens=0)),
            ("fused_shared_experts", prepare(fused_shared_experts=3)),
            ("top_k", prepare(shape={**SHAPE, "top_k": 9})),
            ("K = 96", prepare(shape={**SHAPE, "dtype": "fp8_w8a8", "block_shape": [64, 64]})),
            ("batch_size", measure(UP, batch_size=9)),
            ("routing", measure(UP, routing=None)),
            ("kind", measure(UP, routing={"kind": "even"})),
            ("order", measure(UP, order=[1])),
            ("abort_above_us", measure(UP, abort_above_us=0)),
            ("BLOCK_SIZE_M", measure({**PATH, "down": {**PLAIN, "BLOCK_SIZE_M": 32}})),
        ):
            with self.subTest(name):
                self.assertIn(name, self.refused(worker, "bad_request", **request))
        # None of it has cost what was prepared.
        self.assertTrue(worker.call(**measure(UP))[-1]["ok"])

    def test_a_path_needs_a_gate(self):
        worker = self.worker(prepared=False)
        worker.call(**prepare(shape={**SHAPE, "gated": False}))
        self.assertIn("gate", self.refused(worker, "bad_request", **measure(PATH)))

    def test_a_device_that_failed_for_good_ends_the_worker(self):
        worker = self.worker("illegal")
        worker.send(**measure(DOWN, batch_size=3))
        self.assertEqual(worker.process.wait(60), 3)
        last = worker.process.stderr.read().decode().splitlines()[-1]
        for part in ("arm 0", "'role': 'down'", "'BLOCK_SIZE_N': 32", "batch size 3", "illegal memory access"):
            self.assertIn(part, last)

    def test_a_killed_gpu_process_ends_the_worker(self):
        worker = self.worker("killed", prepared=False)
        worker.send(**prepare())
        self.assertEqual(worker.process.wait(60), 128 + signal.SIGKILL)
        self.assertIn("killed by SIGKILL during prepare", worker.process.stderr.read().decode().splitlines()[-1])

    def hang(self, **environment):
        worker = self.worker("hang", **environment)
        worker.send(**measure(UP, DOWN, order=[1, 0]))
        # After this line nothing more comes: the owner knows whom to blame.
        self.assertEqual(worker.next(), {"event": "starting", "id": 2, "arm": 1})
        return worker

    def test_it_answers_while_the_device_hangs_and_cancel_ends_that(self):
        worker = self.hang()
        worker.send(**measure(UP, id=3))
        self.assertEqual(worker.call(id=7, op="cancel", cancels=6)[0]["code"], "nothing_to_cancel")
        # The one that waits, then the one that runs.
        for cancels in (3, 2):
            worker.send(id=8, op="cancel", cancels=cancels)
            cancelled, done = worker.next(), worker.next()
            self.assertEqual((cancelled["id"], cancelled["cancelled"], cancelled["ok"]), (cancels, True, False))
            self.assertEqual((done["id"], done["ok"]), (8, True))
        self.assertTrue(eventually(lambda: len(worker.descendants()) == 1))
        self.refused(worker, "not_prepared", **measure(UP))

    def test_nothing_survives_the_worker(self):
        for end in ("stdin closes", "SIGTERM", "SIGKILL"):
            scratch = tempfile.mkdtemp()
            self.addCleanup(shutil.rmtree, scratch)
            with self.subTest(end):
                worker = self.hang(TMPDIR=scratch)
                running = worker.descendants()
                if end == "stdin closes":
                    worker.process.stdin.close()
                elif end == "SIGTERM":
                    worker.process.terminate()
                else:
                    worker.kill()
                worker.process.wait(10)
                self.assertTrue(eventually(lambda: not any(map(alive, running))))
                self.assertTrue(eventually(lambda: not os.listdir(scratch)), os.listdir(scratch))


if __name__ == "__main__":
    unittest.main()
