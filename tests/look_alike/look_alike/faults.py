"""What goes wrong on purpose: one thing a process.

  die-loading       it dies while it loads weights, with its last words
  hang-distributed  it never finds the other ranks
  hang-weights      it goes on loading for ever
  die-later         it dies some time after the model is ready
  other-model       the server says another model's name
  unhealthy         the server is never well
  no-answer         the server takes requests for completions and answers none
  ignore-term       it takes no notice of SIGTERM, nor of rank 0's end
"""

import os
import signal
import sys
import time

KNOWN = [line.split()[0] for line in __doc__.splitlines() if line.startswith("  ")]
LAST_WORDS = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 119.64 GiB "
    "of which 1.21 GiB is free."
)


def fault_of(rank):
    """The name of what befalls this rank, or None."""
    name, _, at = os.environ.get("LOOK_ALIKE_FAULT", "").partition("@")
    if name and name not in KNOWN:
        sys.exit(f"LOOK_ALIKE_FAULT: no such fault `{name}`; known: {', '.join(KNOWN)}")
    if at and not at.isdigit():
        sys.exit(f"LOOK_ALIKE_FAULT: `{at}` is no rank")
    befalls = name and (not at or int(at) == rank)
    if befalls and name == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return name if befalls else None


def last_words():
    return os.environ.get("LOOK_ALIKE_LAST_WORDS") or LAST_WORDS


def hang():
    while True:
        time.sleep(60)


def end(status):
    """At once, threads and all."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
