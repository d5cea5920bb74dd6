"""A driver for Triton's own launcher that loads and launches nothing.

python -m tests.fake_driver     # tells of the launches in a line on stdin: compiled, or found?
"""

import json
import sys
from types import SimpleNamespace

CAPABILITY = 90
ARCH = "sm_90a"


class FakeDriver:
    def __init__(self, most_shared_bytes=232448):
        self.launched = []
        self.utils = SimpleNamespace(
            get_device_properties=lambda device: {"max_shared_mem": most_shared_bytes},
            # A module, a function, registers, spills, and the most threads a block may have.
            load_binary=lambda name, binary, shared, device: (1, 1, 32, 0, 1024),
        )

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", CAPABILITY, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def launcher_cls(self, source, metadata):
        return lambda *arguments: self.launched.append(metadata.name)


class FakeTensor:
    """As much of a tensor as a launcher looks at."""

    def __init__(self, dtype):
        self.dtype = f"torch.{dtype}"

    def data_ptr(self):
        return 512

    def numel(self):
        return 48  # a multiple of 16: Triton would specialise on it


def launches(root, fields, units, folder):
    """[(found in the cache?, launched?)] for each unit, through `Launch` as a measure request makes it."""
    from spark_worker import toolchain

    triton = toolchain.load_triton()
    driver = FakeDriver()
    triton.runtime.driver.set_active(driver)
    toolchain.launch_kept_binaries(folder)

    from spark_worker.alignment import Alignment
    from spark_worker.config import Config
    from spark_worker.inputs import Operands, plan_operands
    from spark_worker.kernel_source import find_kernel
    from spark_worker.launcher import Launch, Launcher
    from spark_worker.launcher_hints import TORCH_NAMES
    from spark_worker.shape import Shape

    hits = []
    triton.knobs.compilation.listener = lambda *, cache_hit, **_: hits.append(cache_hit)
    shape = Shape.from_request(fields)
    launcher = Launcher(triton, find_kernel(root), shape, CAPABILITY)
    integers = FakeTensor("int32")
    routed = SimpleNamespace(ids=integers, weights=FakeTensor("float32"))
    alignment = SimpleNamespace(rows=1024, **dict.fromkeys(Alignment.__dataclass_fields__, integers))
    answers = []
    for unit in units:
        plans = plan_operands(shape, unit["role"], 64)
        operands = Operands(**{n: plan and FakeTensor(TORCH_NAMES[plan.element]) for n, plan in plans.items()})
        config = Config.from_entry(unit["config"])
        sized_for = unit.get("batch_size", 1)
        launch = Launch(
            launcher, unit["role"], config, operands=operands, routed=routed, alignment=alignment, sized_for=sized_for
        )
        hits.clear()
        driver.launched.clear()
        launch.compile()
        launch()
        launch()
        answers.append([hits[:], len(driver.launched)])
    return answers


if __name__ == "__main__":
    print(json.dumps(launches(**json.loads(sys.stdin.readline()))))
