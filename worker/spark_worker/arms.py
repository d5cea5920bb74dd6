"""What a measure request compares: arms, each one kernel or the path through both."""

from dataclasses import dataclass

from spark_worker.config import Config, InvalidConfig
from spark_worker.fields import field
from spark_worker.protocol import RequestError

ARM_ROLES = ("up", "down", "path")


@dataclass(frozen=True)
class Arm:
    """`configs` holds one config a role; `invalid` says why they are none."""

    role: str
    entry: dict
    configs: dict
    invalid: str | None

    @classmethod
    def from_request(cls, entry):
        role = field(entry, "role", str, choices=ARM_ROLES)
        given = {r: field(entry, r, dict) for r in ("up", "down")} if role == "path" else {role: _config(entry)}
        try:
            configs = {r: Config.from_entry(config) for r, config in given.items()}
        except InvalidConfig as error:
            return cls(role, entry, {}, str(error))
        blocks = {config.block_m for config in configs.values()}
        if len(blocks) > 1:
            raise RequestError(
                "bad_request",
                f"arms: both projections of a path share one alignment, so BLOCK_SIZE_M must be equal, not {blocks}",
            )
        return cls(role, entry, configs, None)

    @property
    def block_m(self):
        return next(iter(self.configs.values())).block_m

    @property
    def tile(self):
        """What one check answers for: GROUP_SIZE_M only changes the order of the blocks."""
        tiles = ((c.block_m, c.block_n, c.block_k, c.num_warps, c.num_stages) for c in self.configs.values())
        return self.role, tuple(tiles)


def arms_of(request):
    entries = field(request, "arms", list)
    if not all(isinstance(entry, dict) for entry in entries):
        raise RequestError("bad_request", "arms must be a list of objects")
    return [Arm.from_request(entry) for entry in entries]


def order_of(request, arms):
    order = field(request, "order", list)
    for index in order:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(arms):
            raise RequestError("bad_request", f"order must hold indices of arms, 0 to {len(arms) - 1}, not {index!r}")
    return order


def _config(entry):
    return field(entry, "config", dict)
