"""A worker whose compiler never comes to an end, for what must be tested where there is no Triton.

    python -m tests.sleeping_compiler

Each unit is compiled by a child that waits for a grandchild, as Triton waits for its assembler.
A unit named `quick` is done at once. Nothing in spark_worker knows of this file.
"""

import subprocess
import sys

from spark_worker import batch, service


class SleepingCompiler:
    def compile(self, unit):
        if unit.name != "quick":
            subprocess.run(["sleep", "600"], check=True)
        return {
            "outcome": "compiled",
            "shared_bytes": 1024,
            "registers": None,
            "spill_bytes": None,
            "binary_sha256": "0" * 64,
        }


if __name__ == "__main__":
    batch._compiler = lambda request, for_launching: SleepingCompiler()
    sys.exit(service.main())
