"""Where things are in an SGLang installation, an unpacked wheel or a source checkout."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from spark_worker.protocol import RequestError

# The package, seen from what people call the root: site-packages, the package itself, a checkout.
_PACKAGES = ("sglang", ".", "python/sglang")

# The kernel file, newest home first.
_KERNEL_FILES = (
    "kernels/ops/moe/fused_moe_triton_kernels.py",
    "srt/layers/moe/moe_runner/triton_utils/fused_moe_triton_kernels.py",
    "srt/layers/moe/fused_moe_triton/fused_moe_triton_kernels.py",
)

_VERSION_FILES = ("_version.py", "version.py")
_VERSION_IN_SOURCE = re.compile(r"^__version__ = (?:version = )?['\"]([^'\"]+)", re.M)
_VERSION_IN_METADATA = re.compile(r"^Version: (\S+)", re.M)


@dataclass(frozen=True)
class SglangTree:
    packages: tuple

    @classmethod
    def at(cls, root):
        """The tree under `root`, or the one this Python would import where `root` is None."""
        if root is None:
            spec = importlib.util.find_spec("sglang")
            if spec is None or not spec.submodule_search_locations:
                raise RequestError("kernel_not_found", "no sglang_root given, and no sglang installed here")
            return cls(tuple(Path(place) for place in spec.submodule_search_locations))
        return cls(tuple(Path(root) / package for package in _PACKAGES))

    def kernel_file(self):
        looked_at = [package / file for package in self.packages for file in _KERNEL_FILES]
        for path in looked_at:
            if path.is_file():
                return path.resolve()
        places = ", ".join(str(path) for path in looked_at)
        raise RequestError("kernel_not_found", f"no fused-MoE kernel file; looked at {places}")

    def version(self):
        """The version the tree states about itself, or None."""
        for package in self.packages:
            for metadata in sorted(package.resolve().parent.glob("sglang-*.dist-info/METADATA")):
                if found := _VERSION_IN_METADATA.search(_text(metadata)):
                    return found[1]
            for name in _VERSION_FILES:
                if found := _VERSION_IN_SOURCE.search(_text(package / name)):
                    return found[1]
        return None


def _text(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
