"""How it is multiplied: one entry of an SGLang config file, checked before any compiler sees it."""

from dataclasses import dataclass

_TILE_KEYS = ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "GROUP_SIZE_M")
_OPTION_KEYS = ("num_warps", "num_stages")
# 1,024 threads a block. Triton compiles more, and the launch then fails.
_MOST_WARPS = 32


class InvalidConfig(Exception):
    """A config that SGLang or Triton would refuse, and why."""


@dataclass(frozen=True)
class Config:
    block_m: int
    block_n: int
    block_k: int
    group_m: int
    # None where the entry leaves the choice to Triton, as SGLang's own defaults do.
    num_warps: int | None
    num_stages: int | None

    @classmethod
    def from_entry(cls, entry):
        if entry.get("USE_TMA"):
            raise InvalidConfig("USE_TMA: TMA variants are not compiled by this worker")
        known = {*_TILE_KEYS, *_OPTION_KEYS, "USE_TMA"}
        # SGLang passes every key on to the launch, where a stranger raises in the server.
        for key in entry:
            if key not in known:
                raise InvalidConfig(f"{key} is neither a kernel parameter nor a launch option")
        values = {key: _positive(entry, key) for key in (*_TILE_KEYS, *_OPTION_KEYS)}
        for key in _TILE_KEYS:
            if values[key] is None:
                raise InvalidConfig(f"{key} is missing")
        for key in ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps"):
            value = values[key]
            if value is not None and value & (value - 1):
                raise InvalidConfig(f"{key} must be a power of two, not {value}")
        if (values["num_warps"] or 1) > _MOST_WARPS:
            raise InvalidConfig(f"num_warps must be at most {_MOST_WARPS}, not {values['num_warps']}")
        return cls(*(values[key] for key in (*_TILE_KEYS, *_OPTION_KEYS)))

    @property
    def options(self):
        """The launch options, by the names Triton gives them."""
        named = {"num_warps": self.num_warps, "num_stages": self.num_stages}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def compile_cost(self):
        """Grows with the time a compile takes: unrolled accumulator tiles dominate it."""
        return self.block_m * self.block_n * (self.num_stages or 1)


def _positive(entry, key):
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidConfig(f"{key} must be a positive integer, not {value!r}")
    return value
