"""Triton and its assembler, as installed here. Triton is imported on first use, never before."""

import functools
import importlib
import os
import subprocess

from spark_worker.protocol import RequestError

# Read by Triton when it compiles. Line tables would put this worker's file names into the
# binary, and its digest with them; the assembler's log is where registers and spills stand;
# and one kernel a process leaves nothing for the compiler's thread pool to share.
_ENVIRONMENT = {
    "TRITON_DISABLE_LINE_INFO": "1",
    "TRITON_DUMP_PTXAS_LOG": "1",
    "MLIR_DISABLE_MULTITHREADING": "1",
}


@functools.cache
def load_triton():
    os.environ.update(_ENVIRONMENT)
    try:
        triton = importlib.import_module("triton")
        # Loaded by the first compile otherwise, which here would be once in every child.
        importlib.import_module("triton.compiler.code_generator")
        return triton
    except Exception as error:  # a broken installation raises whatever it likes
        raise RequestError("triton_missing", f"import triton: {type(error).__name__}: {error}") from error


def warm_up(capability):
    """Do once, before forking, what every compile would do again: hash Triton, ask the assembler's version."""
    triton = load_triton()
    target = gpu_target(capability)
    if assembler(capability) is None:
        raise RequestError("ptxas_missing", f"no ptxas that runs; name one in {assembler_override(capability)}")
    triton.runtime.cache.triton_key()
    triton.compiler.make_backend(target).hash()
    return target


def keep_binaries(folder):
    """Have compiles write into the Triton cache in `folder`, where a launch finds them."""
    os.environ["TRITON_CACHE_DIR"] = folder
    # What is there already would be read back without the assembler's log, which has the registers.
    os.environ["TRITON_ALWAYS_COMPILE"] = "1"


def launch_kept_binaries(folder):
    """Have launches look into the Triton cache in `folder`; what it lacks is compiled, and kept there."""
    os.environ["TRITON_CACHE_DIR"] = folder


class NotKept(Exception):
    """The cache has no files of a kernel."""


def find_only(answer):
    """From now on have compiles ask `answer(cache, group)` for the files of a kernel, and compile nothing.

    `cache` is Triton's own for that kernel, `group` the name under which it files them. NotKept where there are none.
    """
    triton = load_triton()
    plain = triton.runtime.cache.FileCacheManager

    class Answered(plain):
        def get_group(self, filename):
            found = answer(plain(self.key), filename)
            if not found:
                raise NotKept
            return found

    triton.knobs.cache.manager_class = Answered
    triton.knobs.compilation.always_compile = False


def gpu_target(capability):
    load_triton()
    from triton.backends.compiler import GPUTarget

    return GPUTarget("cuda", capability, 32)


def architecture(capability):
    """The name Triton gives the assembler; it adds the suffix of arch-specific features itself."""
    load_triton()
    from triton.backends.nvidia.compiler import sm_arch_from_capability

    return sm_arch_from_capability(capability)


def assembler(capability):
    """The ptxas that Triton will run for `capability`, or None where there is none that works."""
    nvidia = load_triton().knobs.nvidia
    try:
        return nvidia.ptxas_blackwell if _has_second_assembler(capability) else nvidia.ptxas
    except (RuntimeError, OSError):
        # Triton runs it to ask its version; a variable may name what cannot be run.
        return None


def assembler_override(capability):
    """The variable by which Triton lets a user name another ptxas for `capability`."""
    return "TRITON_PTXAS_BLACKWELL_PATH" if _has_second_assembler(capability) else "TRITON_PTXAS_PATH"


def _has_second_assembler(capability):
    """Newer Tritons bundle another ptxas for Blackwell, with an override of its own."""
    # `dir`, because looking at the attribute would run the tool it stands for.
    return capability >= 100 and "ptxas_blackwell" in dir(load_triton().knobs.nvidia)


def assembler_knows(tool, arch):
    listed = subprocess.run([tool.path, "--help"], capture_output=True, text=True, check=False).stdout
    return f"'{arch}'" in listed
