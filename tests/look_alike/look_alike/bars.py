"""The bar that both engines show while they load weights (`_BAR_FORMAT` in their `weight_utils.py`)."""

import sys
import time

from . import SHARDS


def load_shards(takes_s, shown, midway=None):
    """Load for so long; `midway` is called when half is there. Only the first rank shows its bar."""
    begin = time.monotonic()
    for done in range(SHARDS + 1):
        if done:
            time.sleep(takes_s / SHARDS)
        if shown:
            past = time.monotonic() - begin
            rate = f"{done / past:.2f}it/s" if done else "?it/s"
            left = clock(past / done * (SHARDS - done)) if done else "?"
            percent = 100 * done // SHARDS
            bar = f"{percent:3d}% Completed | {done}/{SHARDS} [{clock(past)}<{left}, {rate}]"
            sys.stderr.write(f"\rLoading safetensors checkpoint shards: {bar}\n")
            sys.stderr.flush()
        if midway and done == SHARDS // 2:
            midway()


def clock(seconds):
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
