"""Say which GPUs a program has here, in a container as anywhere, as one JSON document on stdout.

Output: {"nodes": [...], "driver": [...], "library": BOOL, "trouble": TEXT or null, "gpus": [{"name",
"shared_memory_per_block", "capability"}, ...]}.
`nodes` are NVIDIA's files below /dev and `driver` the boards that the driver's folder below /proc names: both are put
there by the engine. The rest is asked of the driver's own library, libcuda, which needs no runtime and no torch: a
GPU's name is the one torch reports (cuDeviceGetName), the shared memory what a block may have after opting in, bytes.
Nothing is changed. Standard library only, Linux, Python 3.8 or newer.
"""

import ctypes
import glob
import json
import os

# Numbers of CUdevice_attribute in cuda.h.
CAPABILITY_MAJOR = 75
CAPABILITY_MINOR = 76
SHARED_MEMORY_PER_BLOCK_OPTIN = 97


class Refused(Exception):
    """A call of the library that did not succeed."""


def call(library, name, *arguments):
    """Call `name`; 0 is success in all of the driver's functions."""
    status = getattr(library, name)(*arguments)
    if status == 0:
        return
    words = ctypes.c_char_p()
    if library.cuGetErrorName(status, ctypes.byref(words)) == 0 and words.value:
        status = "{} ({})".format(words.value.decode("utf-8", "replace"), status)
    raise Refused("{} says {}".format(name, status))


def attribute(library, device, number):
    """An attribute of a device; None where the library does not know it."""
    value = ctypes.c_int()
    try:
        call(library, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    except Refused:
        return None
    return value.value


def gpu(library, at):
    """The GPU in this place."""
    device = ctypes.c_int()
    call(library, "cuDeviceGet", ctypes.byref(device), at)
    name = ctypes.create_string_buffer(256)
    call(library, "cuDeviceGetName", name, len(name), device)
    return {
        "name": name.value.decode("utf-8", "replace"),
        "shared_memory_per_block": attribute(library, device, SHARED_MEMORY_PER_BLOCK_OPTIN),
        "capability": [attribute(library, device, CAPABILITY_MAJOR), attribute(library, device, CAPABILITY_MINOR)],
    }


def by_library():
    """Whether there is a libcuda, what keeps it from working, and the GPUs it has."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"library": False, "trouble": str(error), "gpus": []}
    try:
        call(library, "cuInit", 0)
        count = ctypes.c_int()
        call(library, "cuDeviceGetCount", ctypes.byref(count))
        return {"library": True, "trouble": None, "gpus": [gpu(library, at) for at in range(min(count.value, 64))]}
    except (Refused, AttributeError) as error:
        return {"library": True, "trouble": str(error), "gpus": []}


def boards():
    """What the driver calls its boards."""
    found = []
    for path in sorted(glob.glob("/proc/driver/nvidia/gpus/*/information")):
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                found += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
        except OSError:
            pass
    return found


if __name__ == "__main__":
    nodes = sorted(name for name in os.listdir("/dev") if name.startswith("nvidia"))
    print(json.dumps({"nodes": nodes, "driver": boards(), **by_library()}))
