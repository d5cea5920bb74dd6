"""Compiles one unit and reads back what it takes. `compile` runs in a child process."""

import hashlib
import io
import linecache
import re
from contextlib import redirect_stdout
from dataclasses import dataclass

from spark_worker import toolchain
from spark_worker.launch import DataType, kernel_name, known_parameters, launch_arguments, launch_options
from spark_worker.launcher_hints import launcher_hints
from spark_worker.protocol import RequestError
from spark_worker.specialise import specialise

# SGLang lets Triton specialise these on divisibility by 16, which makes other cache keys and the
# same binary; unspecialised, every batch size finds the one binary.
_VARYING = ("EM", "num_valid_tokens")
_PREAMBLE = "import triton\nimport triton.language as tl\n\n\n"
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes spill stores")
_ASSEMBLER_COMPLAINT = re.compile(r"^ptxas .*\b(?:fatal|error)\b.*", re.M)
# As ptxas, LLVM and Triton's own passes put it.
_TARGET_COMPLAINT = re.compile(
    "is not defined for option 'gpu-name'|does not support target|computeCapability not supported"
)


@dataclass(frozen=True)
class Unit:
    name: str
    role: str
    config: object
    # Tokens in the forward pass; they decide one constant of SGLang 0.5.23's kernel.
    batch_size: int = 1


class Compiler:
    """One kernel source, one target, one shape: all that the units of a request share.

    With `for_launching` the binaries are compiled under the keys by which a launch looks for them.
    """

    def __init__(self, source, capability, arch, shape, for_launching=False):
        self._triton = toolchain.load_triton()
        _check_target(capability, arch)
        kernel = kernel_name(shape)
        self._parameters = source.parameters_of(kernel, known_parameters(kernel))
        self._target = toolchain.warm_up(capability)
        self._function = launchable(source, kernel)
        self._for_launching = for_launching
        self._capability = capability
        # What else a binary depends on is for Triton's own key of it to tell.
        self.made_with = {"kernel": source.digest, "triton": self._triton.__version__, "arch": arch}
        self._shape = shape

    def compile(self, unit):
        """The fields of a compiled or failed outcome."""
        source, options = self._lower(unit)
        log = io.StringIO()
        try:
            # Triton prints the assembler's log, and on a failure the whole assembly.
            with redirect_stdout(log):
                kernel = self._triton.compile(source, target=self._target, options=options)
        except Exception as error:
            reason, message = classify(error)
            return {"outcome": "failed", "reason": reason, "message": message}
        return {
            "outcome": "compiled",
            "shared_bytes": kernel.metadata.shared,
            "registers": int(_REGISTERS.search(log.getvalue())[1]),
            "spill_bytes": int(_SPILLS.search(log.getvalue())[1]),
            "binary_sha256": hashlib.sha256(kernel.kernel).hexdigest(),
        }

    def find(self, unit):
        """The kernel that Triton's cache has, made a kernel object of: after `toolchain.find_only`, in a child."""
        source, options = self._lower(unit)
        return self._triton.compile(source, target=self._target, options=options)

    def explain_crash(self, message):
        """The reason and the message for a compiler that died saying `message`."""
        if not _TARGET_COMPLAINT.search(message):
            return "compiler_crash", message
        variable = toolchain.assembler_override(self._capability)
        return "unsupported_target", f"{message}; name a newer ptxas in {variable}"

    def _lower(self, unit):
        arguments = launch_arguments(self._shape, unit.role, unit.config, self._capability, unit.batch_size)
        special = specialise(self._parameters, arguments)
        names = {parameter.name for parameter in self._parameters}
        source = self._triton.compiler.ASTSource(
            fn=self._function,
            signature=special.signature,
            constexprs={key: self._constant(value) for key, value in special.constants.items()},
            attrs=self._launcher_hints(arguments) if self._for_launching else special.hints,
        )
        return source, launch_options(unit.config, self._capability, names)

    def _launcher_hints(self, arguments):
        values = {name: self._constant(value) for name, value in arguments.items()}
        return launcher_hints(self._function, values, self._triton.compiler.make_backend(self._target))

    def _constant(self, value):
        return getattr(self._triton.language, value.name) if isinstance(value, DataType) else value


def classify(error):
    """Whose fault a failed compile is, and the line that says what is wrong."""
    if _raised_by_triton(error, "CompilationError"):
        # One such error for each frame of the kernel's own call stack; the innermost has the cause.
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        # Triton refuses a tile with these two; anything else is the kernel's own doing.
        is_tile = isinstance(cause, (ValueError, AssertionError))
        return ("invalid_config" if is_tile else "kernel_error"), _summary(cause)
    if _raised_by_triton(error, "PTXASError"):
        # Its own words stand between a generic first line and the command.
        said = _ASSEMBLER_COMPLAINT.search(str(error))
        return "compiler_crash", said[0] if said else _summary(error)
    if isinstance(error, AssertionError):
        return "invalid_config", _summary(error)
    return "compiler_crash", _summary(error)


def _raised_by_triton(error, name):
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _summary(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def _check_target(capability, arch):
    named = toolchain.architecture(capability)
    if arch != named:
        raise RequestError(
            "bad_request", f"target: this Triton compiles capability {capability} for {named}, not for {arch}"
        )


def jit_kernels(source):
    """The kernels as jitted functions. Triton reads their text through `inspect`, which asks
    `linecache`: registering it there needs no file, and keeps paths out of the binary."""
    name = f"<fused-moe {source.digest[:12]}>"
    text = _PREAMBLE + source.text
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"__name__": "spark_worker.kernel"}
    exec(compile(text, name, "exec"), namespace)
    return namespace


def launchable(source, kernel):
    """The kernel as it is compiled and launched, everywhere in this worker."""
    return toolchain.load_triton().jit(jit_kernels(source)[kernel].fn, do_not_specialize=_VARYING)
