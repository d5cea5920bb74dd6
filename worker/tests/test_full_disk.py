"""A worker whose disk is full says so, and nothing of what it was to compile."""

import unittest

from tests.worker import GB10, GLM, QUICK, Worker, unit


class FullDisk(unittest.TestCase):
    def compile(self, names, *arguments):
        with Worker("tests.sleeping_compiler", *arguments) as worker:
            units = [unit(name, QUICK) for name in names]
            events = worker.call(id=5, op="compile", target=GB10, shape=GLM, units=units, jobs=1, timeout_s=600)
            # It goes on serving, and nothing of the batch runs on: but for the guardian it is alone.
            self.assertTrue(worker.call(id=6, op="ping")[-1]["ok"])
            self.assertEqual(len(worker.descendants()), 1)
            return events

    def test_a_crash_with_room_left_is_the_compilers(self):
        compiled, done = self.compile(["crash"])
        self.assertEqual((compiled["unit"], compiled["reason"]), ("crash", "compiler_crash"))
        self.assertTrue(done["ok"])

    def test_a_crash_for_want_of_room_is_nobodys(self):
        error, done = self.compile(["crash"], "--no-room")
        self.assertEqual((error["event"], error["code"]), ("error", "disk_full"))
        self.assertIn("is full", error["message"])
        self.assertFalse(done["ok"])

    def test_what_compiles_with_little_room_counts(self):
        compiled, done = self.compile(["quick"], "--no-room")
        self.assertEqual((compiled["outcome"], done["ok"]), ("compiled", True))

    def test_nothing_is_begun_where_there_is_no_room_for_it(self):
        for names in (["quick"], ["quick", "long"]):
            error, done = self.compile(names, "--no-folder")
            self.assertEqual((error["code"], done["ok"]), ("disk_full", False))
            self.assertIn("No space left on device", error["message"])


if __name__ == "__main__":
    unittest.main()
