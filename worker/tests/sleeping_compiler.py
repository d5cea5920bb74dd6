"""A worker whose compiler never comes to an end, for what must be tested where there is no Triton.

    python -m tests.sleeping_compiler

Each unit is compiled by a child that waits for a grandchild, as Triton waits for its assembler.
A unit named `quick` is done at once, one named `long` with a message of a mebibyte, and one named
`crash` takes its child along. There is always a kernel to be found. With the argument `--no-room` the
disk counts as full, and with `--no-folder` not even a child's folder can be made. Nothing in spark_worker knows of this file.
"""

import errno
import os
import subprocess
import sys

from spark_worker import batch, service


class SleepingCompiler:
    def compile(self, unit):
        if unit.name == "long":
            return {"outcome": "failed", "reason": "kernel_error", "message": "x" * (1 << 20)}
        if unit.name == "crash":
            os.abort()
        if unit.name != "quick":
            subprocess.run(["sleep", "600"], check=True)
        return {
            "outcome": "compiled",
            "shared_bytes": 1024,
            "registers": None,
            "spill_bytes": None,
            "binary_sha256": "0" * 64,
        }

    def explain_crash(self, message):
        return "compiler_crash", message


def probe(_request):
    kernel = {"path": "kernel.py", "sglang_version": None, "digest": "0" * 64}
    return {"kernel": kernel, "ptxas": None, "cpus": 2}


def no_folder(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/somewhere")


if __name__ == "__main__":
    service.probe = probe
    batch._compiler = lambda request, for_launching: SleepingCompiler()
    if "--no-room" in sys.argv:
        batch._ROOM_BYTES = 1 << 62
    if "--no-folder" in sys.argv:
        batch.Child = no_folder
    sys.exit(service.main())
