"""A worker whose owner is gone ends, whatever it is doing, and leaves nothing behind."""

import os
import shutil
import signal
import tempfile
import time
import unittest

from tests.worker import GB10, GLM, QUICK, Worker, alive, eventually, unit

# The worker ends itself; the guardian's own grace comes on top where it cannot.
LEASH_S = 0.5
GRACE_S = 2.0


class Leash(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp()
        self.addCleanup(self.clear, self.scratch)
        self.worker = Worker("tests.sleeping_compiler", TMPDIR=self.scratch)
        self.addCleanup(self.worker.__exit__)

    def clear(self, scratch):
        # The guardian of a worker that was ended clears it too, and may be at it.
        eventually(lambda: not os.listdir(scratch))
        shutil.rmtree(scratch)

    def begin(self, leash_s=LEASH_S):
        self.assertTrue(self.worker.call(id=1, op="begin", leash_s=leash_s)[-1]["ok"])

    def start_compiling(self):
        units = [unit(name, QUICK) for name in ("a", "b")]
        self.worker.send(id=5, op="compile", target=GB10, shape=GLM, units=units, jobs=2, timeout_s=600)
        # The guardian, two children and their two assemblers.
        self.assertTrue(eventually(lambda: len(self.worker.descendants()) == 5))

    def assert_ends(self, status, within, running):
        started = time.monotonic()
        self.assertEqual(self.worker.process.wait(30), status)
        self.assertLess(time.monotonic() - started, within)
        self.assertTrue(eventually(lambda: not any(map(alive, running))))
        self.assertTrue(eventually(lambda: not os.listdir(self.scratch)), os.listdir(self.scratch))

    def test_an_idle_worker_ends(self):
        self.begin()
        self.assert_ends(75, LEASH_S + 5, self.worker.descendants())

    def test_an_owner_that_is_gone_before_it_speaks(self):
        with tempfile.TemporaryDirectory() as self.scratch:
            environment = {"TMPDIR": self.scratch, "SPARK_WORKER_LEASH_S": str(LEASH_S)}
            with Worker("tests.sleeping_compiler", **environment) as self.worker:
                self.assert_ends(75, LEASH_S + 5, self.worker.descendants())

    def test_a_batch_does_not_hold_it_up(self):
        self.begin(2)
        self.start_compiling()
        self.assert_ends(75, 2 + 5, self.worker.descendants())

    def test_the_process_of_the_gpu_ends_too(self):
        self.begin(2)
        # Whether or not there is a GPU, there is a process for it from now on.
        self.worker.call(id=2, op="device")
        running = self.worker.descendants()
        self.assertEqual(len(running), 2)
        self.assert_ends(75, 2 + 5, running)

    def test_a_write_that_nobody_reads_does_not_hold_it_up(self):
        self.begin(2)
        self.start_compiling()
        running = self.worker.descendants()
        # Answers that nobody reads, until one does not fit any more.
        os.set_blocking(self.worker.process.stdin.fileno(), False)
        ping = b'{"id":7,"op":"ping"}\n' * 100
        blocked_since = None
        while blocked_since is None or time.monotonic() < blocked_since + 0.2:
            try:
                os.write(self.worker.process.stdin.fileno(), ping)
                blocked_since = None
            except BlockingIOError:
                blocked_since = blocked_since or time.monotonic()
                time.sleep(0.01)
        self.assert_ends(-signal.SIGKILL, 2 + GRACE_S + 5, running)

    def test_a_worker_that_stands_still_is_ended(self):
        self.begin()
        running = self.worker.descendants()
        self.worker.process.send_signal(signal.SIGSTOP)
        self.assert_ends(-signal.SIGKILL, LEASH_S + GRACE_S + 5, running)

    def test_every_byte_counts_as_heard(self):
        self.begin(2)
        self.start_compiling()
        for byte in b'{"id":3,"op":"ping"}':
            time.sleep(0.15)
            self.worker.process.stdin.write(bytes([byte]))
            self.worker.process.stdin.flush()
        self.worker.send_line("")
        self.assertTrue(self.worker.until_done(3)[-1]["ok"])

    def test_there_is_none_before_it_is_asked_for(self):
        time.sleep(LEASH_S + GRACE_S)
        self.assertTrue(self.worker.call(id=1, op="ping")[-1]["ok"])

    def test_a_leash_that_is_none_is_refused(self):
        for leash in (None, 0, -1, "1", True, float("nan"), float("inf")):
            with self.subTest(leash):
                error, done = self.worker.call(id=1, op="begin", leash_s=leash)
                self.assertEqual((error["code"], done["ok"]), ("bad_request", False))
                self.assertIn("leash_s", error["message"])


class Cancel(unittest.TestCase):
    def test_what_runs_is_killed_and_the_next_batch_begins(self):
        with Worker("tests.sleeping_compiler") as self.worker:
            request = {"op": "compile", "target": GB10, "shape": GLM, "jobs": 2, "timeout_s": 600}
            self.worker.send(id=5, units=[unit(name, QUICK) for name in ("a", "b", "c")], **request)
            self.assertTrue(eventually(lambda: len(self.worker.descendants()) == 5))
            running = self.worker.descendants()
            self.worker.send(id=6, op="cancel", cancels=5)
            cancelled, answered = self.worker.next(), self.worker.next()
            self.assertEqual((cancelled["id"], cancelled["cancelled"], cancelled["ok"]), (5, True, False))
            self.assertEqual((answered["id"], answered["ok"]), (6, True))
            self.assertTrue(eventually(lambda: sum(map(alive, running)) == 1))
            *_, done = self.worker.call(id=7, units=[unit("quick", QUICK)], **request)
            self.assertEqual((done["ok"], done["compiled"]), (True, 1))


if __name__ == "__main__":
    unittest.main()
