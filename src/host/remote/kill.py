"""End the process group whose number the first line of input gives, and say how that went."""

import json
import os
import signal
import sys

order = json.loads(sys.stdin.readline())
try:
    os.killpg(order["group"], signal.SIGKILL)
except ProcessLookupError:
    pass
