"""Binaries on their way: packed out of one worker's cache, put into another's, where a launch finds them.

What travels of a binary is what a launch reads: the code for the GPU and Triton's metadata of it. Both sides ask Triton
for the key by which it looks for the kernel; the two are equal only where everything is that the binary depends on.
"""

import base64
import hashlib
import shutil
import zlib

from spark_worker import toolchain
from spark_worker.batch import Batch, failed
from spark_worker.fields import field
from spark_worker.protocol import LONGEST_LINE, RequestError

# Of the content, as text: it has to fit into a line with all the rest.
LARGEST = LONGEST_LINE * 3 // 4
# Bytes of code and metadata together: many times what fits into a line that is no bomb.
_LARGEST_UNPACKED = 64 << 20
_NAMES = {"kernel": "the kernel's source", "triton": "Triton", "arch": "the target"}


class Refused(Exception):
    """The binary cannot travel, or not to here; the message says why."""


class _Travelling(Batch):
    """Nothing travels without a folder to be kept in."""

    def _place(self, request):
        return field(request, "cache_dir", str)


class Giving(_Travelling):
    """A `give` request under way."""

    doing, done = "giving", "given"

    def _carry_out(self, unit):
        return _outcome(lambda: {"binary": pack(self._compiler, unit, self._cache_dir)}, self.done)


class Taking(_Travelling):
    """A `take` request under way."""

    doing, done = "taking", "taken"

    def __init__(self, request, *arguments):
        super().__init__(request, *arguments)
        entries = [(entry["unit"], field(entry, "binary", dict)) for entry in request["units"]]
        self._binaries = {name: _checked(binary) for name, binary in entries}

    def _carry_out(self, unit):
        binary = self._binaries[unit.name]
        return _outcome(lambda: {"binary_sha256": unpack(self._compiler, unit, binary, self._cache_dir)}, self.done)


def _outcome(work, done):
    """The fields of the outcome of `work`."""
    try:
        return {"outcome": done, **work()}
    except toolchain.NotKept:
        return failed("not_kept", "there is no binary of it")
    except Refused as error:
        return failed("refused", str(error))
    except OSError as error:
        return failed("not_kept", f"{type(error).__name__}: {error}")


def pack(compiler, unit, folder):
    """The binary of `unit` that the cache in `folder` has, as it travels."""
    kept = {}

    def answer(cache, group):
        kept["key"] = cache.key
        return cache.get_group(group)

    toolchain.launch_kept_binaries(folder)
    toolchain.find_only(answer)
    kernel = compiler.find(unit)
    metadata = next(path for name, path in kernel.metadata_group.items() if name.endswith(".json"))
    with open(metadata, "rb") as file:
        # No JSON has a NUL in it.
        plain = file.read() + b"\0" + kernel.kernel
    content = base64.b64encode(zlib.compress(plain)).decode()
    if len(content) > LARGEST:
        raise Refused(f"it takes {len(content)} bytes to send, {LARGEST} are allowed")
    return {**compiler.made_with, "key": kept["key"], "content": content, "sha256": _digest(content)}


def unpack(compiler, unit, binary, folder):
    """Put `binary` into the cache in `folder`, as that of `unit`; the digest of the code that Triton then reads there."""
    for name, here in compiler.made_with.items():
        if binary[name] != here:
            raise Refused(f"{_NAMES[name]} is another one: it was made with {binary[name]}, here is {here}")
    if binary["sha256"] != _digest(binary["content"]):
        raise Refused("it was changed on its way")
    metadata, code = _plain(binary["content"])

    def answer(cache, group):
        if cache.key != binary["key"]:
            raise Refused(f"Triton looks for another key here: it was made under {binary['key']}, here is {cache.key}")
        return _file(cache, group, metadata, code)

    toolchain.launch_kept_binaries(folder)
    toolchain.find_only(answer)
    return hashlib.sha256(compiler.find(unit).kernel).hexdigest()


def _file(cache, group, metadata, code):
    """Each file is renamed into its place, and the last one makes the others count."""
    was_there = cache.get_group(group)
    try:
        name = group.removesuffix(".json") + ".cubin"
        files = {name: cache.put(code, name), group: cache.put(metadata, group)}
        cache.put_group(group, files)
        return files
    except OSError:
        if not was_there:
            # The folder is this kernel's own.
            shutil.rmtree(cache.cache_dir, ignore_errors=True)
        raise


def _plain(content):
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(base64.b64decode(content, validate=True), _LARGEST_UNPACKED)
    except (ValueError, zlib.error) as error:
        raise Refused(f"it cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise Refused("it cannot be unpacked: it is cut, or too large")
    metadata, mark, code = plain.partition(b"\0")
    if not mark:
        raise Refused("it cannot be unpacked: it has no code")
    return metadata.decode(), code


def _checked(binary):
    for name in (*_NAMES, "key", "content", "sha256"):
        field(binary, name, str)
    if len(binary["content"]) > LARGEST:
        raise RequestError("bad_request", f"content takes {LARGEST} bytes at most")
    return binary


def _digest(content):
    return hashlib.sha256(content.encode()).hexdigest()
