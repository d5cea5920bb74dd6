import tempfile
import unittest
from pathlib import Path

from tests.worker import GB10, GLM, Worker


class Service(unittest.TestCase):
    def setUp(self):
        self.worker = Worker()
        self.addCleanup(self.worker.__exit__)

    def test_hello_says_what_is_here(self):
        hello = self.worker.hello
        self.assertEqual((hello["event"], hello["protocol"]), ("hello", 3))
        self.assertLessEqual({"python", "triton", "torch", "sglang", "device"}, hello.keys())

    def test_an_unknown_operation_ends_with_done(self):
        error, done = self.worker.call(id=7, op="dance", extra="ignored")
        self.assertEqual((error["code"], error["id"]), ("unknown_op", 7))
        self.assertEqual(done, {"event": "done", "id": 7, "ok": False})

    def test_a_bad_line_is_told_and_forgotten(self):
        for line in ("{", "[]", '{"op":"quit"}', '{"id":true,"op":"quit"}'):
            with self.subTest(line):
                self.worker.send_line(line)
                event = self.worker.next()
                self.assertEqual((event["id"], event["code"]), (None, "bad_request"))
        self.assertEqual(self.worker.call(id=1, op="dance")[0]["code"], "unknown_op")

    def test_a_bad_field_is_named(self):
        with tempfile.TemporaryDirectory() as empty:
            request = {"op": "compile", "sglang_root": empty, "target": GB10, "shape": GLM, "units": []}
            for changes, name in (
                ({"jobs": 0}, "jobs"),
                ({"timeout_s": -1}, "timeout_s"),
                ({"units": [3]}, "unit"),
                ({"units": [{"unit": "a", "role": "sideways", "config": {}}]}, "role"),
                ({"shape": {**GLM, "hidden": "wide"}}, "hidden"),
                ({"target": {}}, "target"),
            ):
                with self.subTest(changes):
                    error, _ = self.worker.call(id=3, **{**request, **changes})
                    self.assertIn(error["code"], ("bad_request", "kernel_not_found"))
                    if error["code"] == "bad_request":
                        self.assertIn(name, error["message"])

    def test_a_root_without_sglang(self):
        with tempfile.TemporaryDirectory() as empty:
            error, done = self.worker.call(id=2, op="probe", sglang_root=empty)
        self.assertEqual(error["code"], "kernel_not_found")
        self.assertFalse(done["ok"])

    def test_nothing_to_cancel(self):
        self.assertEqual(self.worker.call(id=2, op="cancel", cancels=1)[0]["code"], "nothing_to_cancel")

    def test_quit_and_the_end_of_stdin_both_end_it(self):
        self.assertTrue(self.worker.call(id=1, op="quit")[-1]["ok"])
        self.assertEqual(self.worker.process.wait(10), 0)
        with Worker() as other:
            other.process.stdin.close()
            self.assertEqual(other.process.wait(10), 0)

    def test_a_ping_is_answered(self):
        self.assertEqual(self.worker.call(id=0, op="ping"), [{"event": "done", "id": 0, "ok": True}])

    def test_a_long_line_is_read_and_one_without_end_is_not_kept(self):
        self.assertTrue(self.worker.call(id=1, op="ping", padding="x" * (2 << 20))[-1]["ok"])
        before = self.resident_bytes()
        self.worker.process.stdin.write(b"x" * (64 << 20))
        self.worker.send_line("")
        event = self.worker.next()
        self.assertEqual((event["id"], event["code"]), (None, "bad_request"))
        self.assertIn("4194304 bytes", event["message"])
        self.assertLess(self.resident_bytes() - before, 16 << 20)
        self.assertTrue(self.worker.call(id=2, op="ping")[-1]["ok"])

    def resident_bytes(self):
        status = Path(f"/proc/{self.worker.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def test_sigterm_ends_it(self):
        self.worker.process.terminate()
        self.assertEqual(self.worker.process.wait(10), 143)


if __name__ == "__main__":
    unittest.main()
