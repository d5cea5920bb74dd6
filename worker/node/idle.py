"""Keep a container up for as long as anything else runs in it, and for so many seconds of the argument beyond that.

It is the first process of a container that workers are started in from outside. Whoever started them may be killed; they
then end by themselves, and so does the container. Standard library only, Linux, Python 3.8 or newer.
"""

import os
import sys
import time

ALONE_S = float(sys.argv[1])


def bury():
    """Whoever has lost its parent is the first process's to wait for, and counts as running until then."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def alone():
    bury()
    return not any(name.isdigit() and int(name) != os.getpid() for name in os.listdir("/proc"))


since = time.monotonic()
while time.monotonic() - since < ALONE_S:
    time.sleep(min(5.0, ALONE_S / 4))
    if not alone():
        since = time.monotonic()
