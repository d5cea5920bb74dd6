"""A binary given by one worker is taken by another, and launched there through Triton's own launcher, compiled nowhere."""

import base64
import hashlib
import json
import os
import tempfile
import unittest
import zlib
from pathlib import Path

from spark_worker.travel import LARGEST
from tests.fake_driver import ARCH, CAPABILITY
from tests.real import needs_real_compiler, sglang_roots
from tests.test_kept_binaries import BLOCK, INT4, OTHER, launches
from tests.worker import GLM, QUICK, Worker, unit


@needs_real_compiler
class Travel(unittest.TestCase):
    def setUp(self):
        self.here, self.there = (self.folder() for _ in range(2))

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def ask(self, op, units, folder, root=None, shape=GLM, **more):
        with Worker() as worker:
            *events, done = worker.call(
                id=1,
                op=op,
                sglang_root=root or sglang_roots()[0],
                target={"arch": ARCH, "capability": CAPABILITY},
                shape=shape,
                units=units,
                cache_dir=folder,
                **more,
            )
        return events, done

    def given(self, units, **more):
        events, done = self.ask("compile", units, self.here, **more)
        self.assertEqual(done["failed"], 0, events)
        compiled = {event["unit"]: event["binary_sha256"] for event in events}
        events, done = self.ask("give", units, self.here, **more)
        self.assertEqual((done["given"], done["failed"]), (len(units), 0), events)
        return compiled, {event["unit"]: event["binary"] for event in events}

    def taken(self, units, binaries, folder=None, **more):
        entries = [{**entry, "binary": binaries[entry["unit"]]} for entry in units]
        return self.ask("take", entries, folder or self.there, **more)

    def assert_refused(self, binaries, *words, units=None, folder=None, **more):
        events, done = self.taken(units or [unit("a", QUICK)], binaries, folder, **more)
        self.assertEqual((done["ok"], done["taken"], done["failed"]), (True, 0, len(events)), events)
        for event in events:
            for word in words:
                self.assertIn(word, event["message"])
        return events

    def launched(self, units, folder, root=None, shape=GLM):
        return [hits for hits, _ in launches(root or sglang_roots()[0], shape, units, folder)]

    def test_what_was_taken_is_launched_without_compiling(self):
        units = [unit("up", QUICK), unit("down", QUICK, role="down"), {**unit("large", OTHER), "batch_size": 1024}]
        for root in sglang_roots():
            for shape in (GLM, BLOCK, INT4):
                with self.subTest(root=root, shape=shape):
                    self.here, self.there = self.folder(), self.folder()
                    compiled, binaries = self.given(units, root=root, shape=shape)
                    events, done = self.taken(units, binaries, root=root, shape=shape)
                    self.assertEqual((done["taken"], done["failed"]), (3, 0), events)
                    # It is the same code.
                    self.assertEqual({event["unit"]: event["binary_sha256"] for event in events}, compiled)
                    hits = self.launched(units, self.there, root, shape)
                    self.assertTrue(all(all(hit) for hit in hits) and any(hits), hits)
                    # The folder of another node means nothing there.
                    groups = [json.loads(path.read_text()) for path in Path(self.there).glob("*/__grp__*")]
                    paths = [path for group in groups for path in group["child_paths"].values()]
                    self.assertTrue(paths and all(path.startswith(self.there) for path in paths), paths)

    def test_what_was_taken_can_be_given_on(self):
        compiled, binaries = self.given([unit("a", QUICK)])
        self.taken([unit("a", QUICK)], binaries)
        events, _ = self.ask("give", [unit("a", QUICK)], self.there)
        self.assertEqual(events[0]["binary"], binaries["a"])

    def test_what_is_not_kept_is_not_given_and_nothing_is_compiled_for_it(self):
        self.given([unit("a", QUICK)])
        events, done = self.ask("give", [unit("b", OTHER), unit("a", QUICK)], self.here)
        self.assertEqual((done["ok"], done["given"], done["failed"]), (True, 1, 1))
        [failed] = [event for event in events if event["outcome"] == "failed"]
        self.assertEqual((failed["unit"], failed["reason"]), ("b", "not_kept"))
        self.assertEqual(self.launched([unit("b", OTHER)], self.here), [[False]])

    def test_a_binary_of_something_else_is_refused_with_the_difference(self):
        _, binaries = self.given([unit("a", QUICK)])
        for field, named in (("kernel", "the kernel's source"), ("triton", "Triton"), ("arch", "the target")):
            other = {"a": {**binaries["a"], field: "another"}}
            self.assert_refused(other, named, "made with another", binaries["a"][field])
        # Of another tile, and of another layer.
        self.assert_refused(binaries, "another key", units=[unit("a", OTHER)])
        self.assert_refused(binaries, "another key", shape=BLOCK)
        self.assertEqual(self.launched([unit("a", QUICK)], self.there), [[False]])

    def test_a_binary_that_was_changed_or_cut_is_refused(self):
        _, binaries = self.given([unit("a", QUICK)])
        content = binaries["a"]["content"]
        flipped = content[:100] + ("A" if content[100] != "A" else "B") + content[101:]
        for changed in (flipped, content[:-8], ""):
            self.assert_refused({"a": {**binaries["a"], "content": changed}}, "changed on its way")
        self.assertEqual(self.launched([unit("a", QUICK)], self.there), [[False]])

    def test_what_does_not_unpack_is_refused_though_its_digest_is_right(self):
        _, binaries = self.given([unit("a", QUICK)])
        packed = zlib.compress(b"{}" + b"\0" + b"code")
        for content in ("!", "AAAA", base64.b64encode(packed[:-4]), base64.b64encode(zlib.compress(b"no mark"))):
            text = content if isinstance(content, str) else content.decode()
            other = {**binaries["a"], "content": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            self.assert_refused({"a": other}, "cannot be unpacked")

    def test_bad_requests_name_the_field(self):
        _, binaries = self.given([unit("a", QUICK)])
        for field, value in (("content", None), ("key", 3), ("sha256", None), ("content", "A" * (LARGEST + 1))):
            events, done = self.taken([unit("a", QUICK)], {"a": {**binaries["a"], field: value}})
            self.assertFalse(done["ok"])
            self.assertIn(field, events[0]["message"])
        events, done = self.ask("take", [unit("a", QUICK)], self.there)
        self.assertIn("binary is missing", events[0]["message"])
        for op in ("give", "take"):
            events, done = self.ask(op, [], None)
            self.assertIn("cache_dir is missing", events[0]["message"])

    def test_where_nothing_can_be_written_the_outcome_says_so(self):
        _, binaries = self.given([unit("a", QUICK)])
        file = Path(self.there) / "file"
        file.write_text("")
        [event] = self.assert_refused(binaries, "NotADirectoryError", folder=str(file))
        self.assertEqual(event["reason"], "not_kept")

    def test_a_write_that_breaks_off_leaves_nothing_to_be_found(self):
        _, binaries = self.given([unit("a", QUICK)])
        folder = Path(self.there) / binaries["a"]["key"]
        folder.mkdir()
        # Where the code goes: everything before it is written, and it cannot be.
        (folder / "fused_moe_kernel.cubin").mkdir()
        self.assert_refused(binaries, "IsADirectoryError")
        self.assertEqual(os.listdir(self.there), [])
        # What is there already stays when it cannot be written again.
        self.assertEqual(self.taken([unit("a", QUICK)], binaries)[1]["taken"], 1)
        self.assertEqual(self.launched([unit("a", QUICK)], self.there), [[True]])


if __name__ == "__main__":
    unittest.main()
