"""Spells a kernel's hints as Triton's launcher spells them.

The launcher looks for a binary under a key that holds every hint, the empty ones too, and which
of those it writes down differs between versions. They change nothing in a binary, so only
a binary that a launch is to find has to be compiled under the same key.
"""

from spark_worker.launch import Pointer, VaryingInteger

# As torch would print them; the launcher knows types by these names.
TORCH_NAMES = {
    "fp8e4nv": "float8_e4m3fn",
    "bf16": "bfloat16",
    "fp16": "float16",
    "fp32": "float32",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
}
# Neither 1 nor a multiple of 16.
_ANY_INTEGER = 24
_ALIGNED = 512


class _StandIn:
    """As much of a tensor as the launcher looks at."""

    def __init__(self, pointer):
        self.dtype = f"torch.{TORCH_NAMES[pointer.element]}"

    def data_ptr(self):
        return _ALIGNED


def launcher_hints(function, arguments, backend):
    """What the launcher of `function` makes of `arguments`, by position. Types are Triton's own already."""
    from triton.runtime.jit import create_function_from_signature

    bind = create_function_from_signature(function.signature, function.params, backend)
    given = {name: _launched(arguments[name]) for name in function.arg_names}
    bound, specialisation, _ = bind(**given)
    *_, hints = function._pack_args(backend, {}, bound, specialisation, {})
    return hints


def _launched(value):
    if isinstance(value, Pointer):
        return _StandIn(value)
    if isinstance(value, VaryingInteger):
        return _ANY_INTEGER
    return value
