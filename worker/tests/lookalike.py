"""A worker whose GPU is a look-alike on the CPU, for what must be tested where there is none.

    python -m tests.lookalike [TRICK]        (or the trick in SPARK_LOOKALIKE_TRICK)

Kernels run in Triton's interpreter (TRITON_INTERPRET=1), times are those of the clock, and a
trick stands for what a GPU may do to a worker. Nothing in spark_worker knows of this file.
"""

import math
import os
import signal
import sys
import time

from spark_worker import service
from tests import fake_driver

TRICKS = ("none", "hang", "nan", "zero", "slow", "perturb", "crowded", "illegal", "killed", "tight")
_FREE = {"crowded": 1000}


class LookalikeStage:
    device = "cpu"
    # Below 90, where kernels neither wait for nor launch one another: the interpreter cannot.
    capability = 80
    flush_bytes = 0

    def __init__(self, trick="none"):
        self._trick = trick
        self._prepared = False
        if trick == "tight":
            self._compile_for_a_small_gpu()
        _mend_interpreter()

    def _compile_for_a_small_gpu(self):
        """Kernels are compiled, and then refused as Triton refuses them: without TRITON_INTERPRET."""
        import triton

        self.capability = fake_driver.CAPABILITY
        triton.runtime.driver.set_active(fake_driver.FakeDriver(most_shared_bytes=1000))

    def free_bytes(self):
        return _FREE.get(self._trick, 2**32)

    def release(self):
        pass

    def synchronize(self):
        if self._trick == "hang" and self._prepared:
            time.sleep(600)
        self._prepared = True
        if self._trick == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

    def record(self, run):
        return run

    def time_us(self, run):
        if self._trick == "illegal":
            raise RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered")
        started = time.perf_counter()
        run()
        took = 1e6 * (time.perf_counter() - started)
        return {"nan": math.nan, "zero": 0.0, "slow": 1e9}.get(self._trick, took)

    def conditions(self):
        return {"clock_mhz": None, "temperature_c": None, "power_w": None, "throttle": []}


def _mend_interpreter():
    """Triton's interpreter keeps bfloat16 as the integers of its bits: it multiplies matrices of
    those, takes integers for them, and cuts a float32 short where a GPU rounds to the nearest."""
    import numpy
    from triton import language
    from triton.runtime import interpreter

    builder = interpreter.InterpreterBuilder
    multiply, cast, convert = builder.create_dot, builder.cast_impl, interpreter._convert_float

    def widened(operand):
        if operand.dtype.scalar != language.bfloat16 or operand.data.dtype != numpy.uint16:
            return operand
        bits = operand.data.astype(numpy.uint32) << 16
        return interpreter.TensorHandle(bits.view(numpy.float32), language.float32)

    def create_dot(self, a, b, *others):
        return multiply(self, widened(a), widened(b), *others)

    def cast_impl(self, source, target):
        if source.dtype.scalar.is_int() and target.scalar == language.bfloat16:
            source = cast(self, source, language.float32)
        return cast(self, source, target)

    def convert_float(values, source, target, *others):
        if (source, target) != (language.float32, language.bfloat16):
            return convert(values, source, target, *others)
        bits = numpy.ascontiguousarray(values, dtype=numpy.float32).view(numpy.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(numpy.uint16)

    builder.create_dot, builder.cast_impl = create_dot, cast_impl
    interpreter._convert_float = convert_float


def _perturb_weights():
    """Let the reference see other weights than the kernel: the same as a kernel that reads wrong ones."""
    from spark_worker.reference import Reference

    faithful = Reference._dequantised

    def perturbed(self, role, expert):
        weights = faithful(self, role, expert)
        # One column of one expert.
        if expert == 0:
            weights[0] *= 2
        return weights

    Reference._dequantised = perturbed


if __name__ == "__main__":
    trick = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SPARK_LOOKALIKE_TRICK", "none")
    if trick not in TRICKS:
        sys.exit(f"{trick} is none of {', '.join(TRICKS)}")
    if trick == "perturb":
        _perturb_weights()
    sys.exit(service.main(lambda torch: LookalikeStage(trick)))
