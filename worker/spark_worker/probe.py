"""Says what would be compiled, and with what, before anything is."""

from spark_worker import toolchain
from spark_worker.fields import field
from spark_worker.installed import cpus
from spark_worker.kernel_source import find_kernel
from spark_worker.launch import DENSE_KERNEL, known_parameters

# GB10, where the request names no target.
_DEFAULT_CAPABILITY = 121


def probe(request):
    """The fields of a `probed` event."""
    source = find_kernel(field(request, "sglang_root", str, default=None))
    parameters = source.parameters_of(DENSE_KERNEL, known_parameters(DENSE_KERNEL))
    target = field(request, "target", dict, default={})
    capability = field(target, "capability", int, default=_DEFAULT_CAPABILITY, minimum=1)
    return {
        "kernel": {
            "path": str(source.path),
            "sglang_version": source.sglang_version,
            "digest": source.digest,
            "functions": source.functions,
            "parameters": [parameter.name for parameter in parameters],
        },
        "ptxas": _assembler(capability),
        "cpus": cpus(),
    }


def _assembler(capability):
    tool = toolchain.assembler(capability)
    if tool is None:
        return None
    arch = toolchain.architecture(capability)
    return {
        "path": tool.path,
        "version": tool.version,
        "arch": arch,
        "knows_arch": toolchain.assembler_knows(tool, arch),
    }
