"""Where the tests that compile or multiply find Triton, torch and SGLang; nothing here needs any of them."""

import importlib.util
import os
import unittest

ROOTS = "SPARK_TEST_SGLANG_ROOT"


def sglang_roots():
    return [root for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]


def needs_real_compiler(test):
    """Skip, with a reason, where a part is missing; with SPARK_REAL=1 let the test run and fail."""
    return _needs(test, "SPARK_REAL", ["triton"], needs_sglang=True)


def needs_torch(test):
    """The same for what needs torch alone, and SPARK_TORCH=1."""
    return _needs(test, "SPARK_TORCH", ["torch"], needs_sglang=False)


def needs_interpreter(test):
    """The same for what runs SGLang's kernels in Triton's interpreter, and SPARK_TORCH=1."""
    return _needs(test, "SPARK_TORCH", ["torch", "triton", "numpy"], needs_sglang=True)


def _needs(test, switch, modules, needs_sglang):
    missing = [f"{name} is not installed" for name in modules if not importlib.util.find_spec(name)]
    if needs_sglang and not sglang_roots():
        missing.append(f"{ROOTS} names no SGLang")
    if missing and os.environ.get(switch) != "1":
        return unittest.skip("; ".join(missing))(test)
    return test
