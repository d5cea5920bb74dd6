"""Answers `prepare` and `measure`, in the process of `gpu_process`. Imports torch when first asked to."""

import os
import time

from spark_worker import toolchain
from spark_worker.activation import silu_and_mul
from spark_worker.alignment import RUNTIMES
from spark_worker.fields import field
from spark_worker.inputs import Inputs
from spark_worker.kernel_source import find_kernel
from spark_worker.launcher import Launcher
from spark_worker.measurement import Measurement
from spark_worker.prepared import Prepared
from spark_worker.protocol import RequestError
from spark_worker.routing import check_counts
from spark_worker.shape import Shape

_MOST_TOKENS = 4096


class Bench:
    """Answers `prepare` and `measure`; what they return goes into `done`.

    `open_stage` makes of torch what kernels are run on.
    """

    def __init__(self, open_stage):
        self._open_stage = open_stage
        self._stage = None
        self._prepared = None
        # Where Triton keeps binaries unless a request names another place.
        self._cache_dir = os.environ.get("TRITON_CACHE_DIR")

    def prepare(self, request, emit):
        started = time.monotonic()
        shape = Shape.from_request(field(request, "shape", dict))
        runtime = field(request, "runtime", str, choices=RUNTIMES)
        max_tokens = field(request, "max_tokens", int, default=_MOST_TOKENS, minimum=1)
        fused_shared = field(request, "fused_shared_experts", int, default=0, minimum=0)
        seed = field(request, "seed", int, default=0, minimum=0)
        cache_dir = field(request, "cache_dir", str, default=self._cache_dir)
        check_counts(shape.experts, shape.top_k, fused_shared)
        source = find_kernel(field(request, "sglang_root", str, default=None))
        inputs = Inputs(shape, max_tokens)
        triton, torch = toolchain.load_triton(), _load_torch()
        if cache_dir is not None:
            toolchain.launch_kept_binaries(cache_dir)
        self._prepared = None
        if self._stage is None:
            self._stage = self._open_stage(torch)
        self._stage.release()
        launcher = Launcher(triton, source, shape, self._stage.capability)
        self._allocate(torch, inputs, seed)
        activate, activation = silu_and_mul(torch, self._stage.device)
        self._prepared = Prepared(
            torch, self._stage, launcher, inputs, runtime=runtime, fused_shared=fused_shared, activate=activate
        )
        self._stage.synchronize()
        emit(
            "prepared",
            bytes=inputs.bytes,
            flush_bytes=self._stage.flush_bytes,
            torch=torch.__version__,
            triton=triton.__version__,
            sglang=source.sglang_version,
            activation=activation,
            seconds=round(time.monotonic() - started, 3),
        )

    def measure(self, request, emit):
        if self._prepared is None:
            raise RequestError("not_prepared", "measure needs a prepare that went well before it")
        return Measurement(self._prepared, request, emit).run()

    def _allocate(self, torch, inputs, seed):
        wanted = inputs.bytes + inputs.scratch_bytes
        free = self._stage.free_bytes()
        short = RequestError("out_of_memory", f"{wanted} bytes wanted, {free} free")
        if wanted > free:
            raise short
        try:
            inputs.allocate(torch, self._stage.device, seed)
        except torch.OutOfMemoryError as error:
            raise short from error


def _load_torch():
    try:
        import torch
    except Exception as error:  # a broken installation raises whatever it likes
        raise RequestError("torch_missing", f"import torch: {type(error).__name__}: {error}") from error
    return torch
