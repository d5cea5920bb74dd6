"""What Triton makes of launch arguments: the signature, the constants and the hints of a binary.

The same rules as in Triton's just-in-time launcher: None and the integer 1 become
constants, multiples of 16 (0 among them) and aligned pointers carry a divisibility
hint, and an integer is 32 bits wide unless its value needs more.
"""

from dataclasses import dataclass
from typing import Any

from spark_worker.launch import Pointer, VaryingInteger

_INT32 = range(-(2**31), 2**31)
_DIVISIBLE_BY_16 = [["tt.divisibility", 16]]


@dataclass(frozen=True)
class Specialisation:
    signature: dict[str, str]
    constants: dict[tuple[int], Any]
    hints: dict[tuple[int], list]


def specialise(parameters, arguments):
    signature, constants, hints = {}, {}, {}
    for position, parameter in enumerate(parameters):
        value = arguments[parameter.name]
        kind = "constexpr" if parameter.is_constexpr else _type_of(value)
        signature[parameter.name] = kind
        if kind == "constexpr":
            constants[(position,)] = value
        elif _is_divisible_by_16(value):
            hints[(position,)] = _DIVISIBLE_BY_16
    return Specialisation(signature, constants, hints)


def _type_of(value):
    if value is None:
        return "constexpr"
    if isinstance(value, Pointer):
        return f"*{value.element}"
    if isinstance(value, VaryingInteger):
        return "i32"
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 1:
            return "constexpr"
        return "i32" if value in _INT32 else "i64"
    raise TypeError(f"no kernel parameter takes {value!r} at run time")


def _is_divisible_by_16(value):
    # Every allocation of the caching allocator is aligned to 512 bytes.
    return isinstance(value, Pointer) or (isinstance(value, int) and value % 16 == 0)
