"""Say which processes compute on a node's GPUs, as one JSON document on stdout.

Output: {"pids": [NUMBER, ...]}, empty where nvidia-smi is not there or says none: a container may show nobody's but its
own. {"pids": null} where it is there and does not say.
Nothing is changed. Standard library only, Linux, Python 3.8 or newer.
"""

import json
import subprocess

PROGRAM = ("nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader,nounits")
# It takes 1 to 2 s where no daemon keeps the driver loaded.
LIMIT_S = 10.0


def pids():
    try:
        said = subprocess.run(
            PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LIMIT_S
        )
    except OSError:
        return []
    except subprocess.TimeoutExpired:
        return None
    if said.returncode != 0:
        return None
    lines = said.stdout.decode(errors="replace").splitlines()
    # A process on several GPUs has a line for each; a driver that may not tell says [N/A].
    return sorted({int(line) for line in map(str.strip, lines) if line.isascii() and line.isdigit()})


print(json.dumps({"pids": pids()}))
