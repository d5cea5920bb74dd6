"""What this Python has, from package metadata: importing torch to ask its version costs seconds."""

import importlib.metadata
import os
import platform


def versions():
    return {
        "python": platform.python_version(),
        # Some PyTorch builds carry Triton under a name of their own.
        "triton": _version("triton", "pytorch-triton"),
        "torch": _version("torch"),
        "sglang": _version("sglang"),
    }


def cpus():
    """The processors this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def _version(*distributions):
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
