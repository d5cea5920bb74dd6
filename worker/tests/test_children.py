import os
import signal
import tempfile
import time
import unittest
from pathlib import Path

from spark_worker.children import Child


class NoGuardian:
    def watch(self, group):
        pass

    def forget(self, group):
        pass

    def release(self):
        pass


class Children(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)

    def ending_of(self, task):
        child = Child(task, self.scratch, NoGuardian(), time_limit_s=60)
        while child.read():
            pass
        return child.reap()

    def test_an_answer_comes_back_and_nothing_stays(self):
        ending = self.ending_of(lambda: {"written": Path(tempfile.mkdtemp()).is_relative_to(self.scratch)})
        self.assertEqual(ending.answer, {"written": True})
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_an_abort_is_told_with_what_the_child_printed(self):
        def task():
            os.write(2, b"noise\nfile.mlir:1: error: no such layout\nmore noise\n")
            os.abort()

        ending = self.ending_of(task)
        self.assertIsNone(ending.answer)
        self.assertEqual(ending.complaint, "killed by SIGABRT: file.mlir:1: error: no such layout")

    def test_an_exception_is_told_by_its_last_line(self):
        ending = self.ending_of(lambda: 1 / 0)
        self.assertIsNone(ending.answer)
        self.assertEqual(ending.complaint, "ZeroDivisionError: division by zero")

    def test_killing_takes_grandchildren_along(self):
        read_end, write_end = os.pipe()

        def task():
            os.write(write_end, str(os.fork()).encode() + b"\n")
            time.sleep(600)

        child = Child(task, self.scratch, NoGuardian(), time_limit_s=60)
        os.close(write_end)
        os.read(read_end, 100)
        child.kill()
        child.reap()
        # Every process that could write is gone once the pipe reads as closed.
        signal.alarm(30)
        while os.read(read_end, 100):
            pass
        signal.alarm(0)
        os.close(read_end)


if __name__ == "__main__":
    unittest.main()
