"""Where the tests that compile find Triton and SGLang; nothing here needs either."""

import importlib.util
import os
import unittest

ROOTS = "SPARK_TEST_SGLANG_ROOT"


def sglang_roots():
    return [root for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]


def needs_real_compiler(test):
    """Skip, with a reason, where a part is missing; with SPARK_REAL=1 let the test run and fail."""
    missing = [
        *([] if importlib.util.find_spec("triton") else ["triton is not installed"]),
        *([] if sglang_roots() else [f"{ROOTS} names no SGLang"]),
    ]
    if missing and os.environ.get("SPARK_REAL") != "1":
        return unittest.skip("; ".join(missing))(test)
    return test
