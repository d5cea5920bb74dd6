import tempfile
import textwrap
import unittest
from pathlib import Path

from spark_worker.kernel_source import Parameter, extract, find_kernel
from spark_worker.protocol import RequestError

KERNEL = textwrap.dedent(
    '''
    import torch
    import triton
    import triton.language as tl

    @triton.jit
    def helper(x):
        return x

    @triton.jit
    def unrelated(x):
        return x

    @triton.jit
    def fused_moe_kernel(a_ptr, N, BLOCK_SIZE_M: tl.constexpr, novelty=None):
        """Text."""
        helper(N)

    def launch():
        fused_moe_kernel[1](None)
    '''
)
HOME = "srt/layers/moe/fused_moe_triton/fused_moe_triton_kernels.py"


class Extract(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, text, name="kernel.py"):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def refusal(self, call):
        with self.assertRaises(RequestError) as raised:
            call()
        return raised.exception

    def test_takes_the_kernel_and_what_it_calls(self):
        source = extract(self.write(KERNEL))
        self.assertEqual(source.functions, ("helper", "fused_moe_kernel"))
        self.assertNotIn("torch", source.text)
        self.assertNotIn("unrelated", source.text)
        _, size, tile, _ = source.parameters["fused_moe_kernel"]
        self.assertEqual((size, tile), (Parameter("N", False), Parameter("BLOCK_SIZE_M", True)))

    def test_the_digest_is_of_what_was_taken(self):
        first = extract(self.write(KERNEL))
        around = KERNEL.replace("import torch", "import torch, os").replace("helper(N)", "helper(N)   ")
        within = KERNEL.replace("helper(N)", "helper(N + 1)")
        self.assertEqual(extract(self.write(around)).digest, first.digest)
        self.assertNotEqual(extract(self.write(within)).digest, first.digest)

    def test_an_unknown_parameter_is_named_default_or_not(self):
        source = extract(self.write(KERNEL))
        error = self.refusal(lambda: source.parameters_of("fused_moe_kernel", {"a_ptr", "N", "BLOCK_SIZE_M"}))
        self.assertEqual(error.code, "unknown_parameter")
        self.assertIn("novelty", error.message)
        self.assertIn("kernel.py", error.message)

    def test_a_syntax_error_names_the_line(self):
        error = self.refusal(lambda: extract(self.write("x = 1\ndef broken(:\n")))
        self.assertEqual(error.code, "kernel_unreadable")
        self.assertIn("line 2", error.message)

    def test_a_file_without_the_kernel(self):
        self.assertEqual(self.refusal(lambda: extract(self.write("x = 1\n"))).code, "kernel_unreadable")

    def test_looks_in_a_wheel_a_package_and_a_checkout(self):
        for package in ("wheel/sglang", "checkout/python/sglang"):
            self.write(KERNEL, f"{package}/{HOME}")
        self.write('__version__ = "0.5.9"\n', "wheel/sglang/version.py")
        self.write("__version__ = version = '0.6.0'\n", "checkout/python/sglang/_version.py")
        self.assertEqual(find_kernel(self.root / "wheel").sglang_version, "0.5.9")
        self.assertEqual(find_kernel(self.root / "wheel/sglang").sglang_version, "0.5.9")
        self.assertEqual(find_kernel(self.root / "checkout").sglang_version, "0.6.0")
        self.write("Name: sglang\nVersion: 0.5.9.post1\n", "wheel/sglang-0.5.9.post1.dist-info/METADATA")
        self.assertEqual(find_kernel(self.root / "wheel").sglang_version, "0.5.9.post1")

    def test_lists_the_places_it_looked_at(self):
        error = self.refusal(lambda: find_kernel(self.root))
        self.assertEqual(error.code, "kernel_not_found")
        self.assertIn(str(self.root / "sglang" / HOME), error.message)


if __name__ == "__main__":
    unittest.main()
