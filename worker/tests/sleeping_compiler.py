"""A worker whose compiler never comes to an end, for what must be tested where there is no Triton.

    python -m tests.sleeping_compiler

Each unit is compiled by a child that waits for a grandchild, as Triton waits for its assembler.
A unit named `quick` is done at once, one named `long` with a message of a mebibyte. There is
always a kernel to be found. Nothing in spark_worker knows of this file.
"""

import subprocess
import sys

from spark_worker import batch, service


class SleepingCompiler:
    def compile(self, unit):
        if unit.name == "long":
            return {"outcome": "failed", "reason": "kernel_error", "message": "x" * (1 << 20)}
        if unit.name != "quick":
            subprocess.run(["sleep", "600"], check=True)
        return {
            "outcome": "compiled",
            "shared_bytes": 1024,
            "registers": None,
            "spill_bytes": None,
            "binary_sha256": "0" * 64,
        }


def probe(_request):
    kernel = {"path": "kernel.py", "sglang_version": None, "digest": "0" * 64}
    return {"kernel": kernel, "ptxas": None, "cpus": 2}


if __name__ == "__main__":
    service.probe = probe
    batch._compiler = lambda request, for_launching: SleepingCompiler()
    sys.exit(service.main())
