"""Reading request fields: the right type, or an error that names the field."""

import math

from spark_worker.protocol import RequestError

_KINDS = {int: "an integer", str: "a string", bool: "true or false", dict: "an object", list: "a list"}
_REQUIRED = object()


def field(source, name, kind, *, default=_REQUIRED, choices=None, minimum=None):
    """`source[name]`, checked. A default stands in for an absent field, and for null."""
    value = source.get(name)
    if value is None:
        if default is _REQUIRED:
            raise RequestError("bad_request", f"{name} is missing")
        return default
    # bool is a subclass of int, and `true` experts would otherwise be one expert.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RequestError("bad_request", f"{name} must be {_KINDS[kind]}, not {value!r}")
    if choices is not None and value not in choices:
        raise RequestError("bad_request", f"{name} must be one of {', '.join(choices)}, not {value!r}")
    if minimum is not None and value < minimum:
        raise RequestError("bad_request", f"{name} must be at least {minimum}, not {value}")
    return value


def seconds(source, name, default):
    value = source.get(name, default)
    # Written so that NaN, which JSON readers take, is refused too.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise RequestError("bad_request", f"{name} must be a positive number of seconds, not {value!r}")
    return value
