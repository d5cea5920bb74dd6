"""Say what the doctor asks of a node beyond its facts, as one JSON document on stdout.

Input: one JSON document {"ports": [...], "folders": [...], "gpu_programs": BOOL,
"pings": [[OWN ADDRESS, ADDRESS, MTU], ...]}.
Output: {"user": UID, "taken": [...], "foreign": {FOLDER: UID}, "ray_token": BOOL, "gpu_programs": TEXT or null,
"owners": {PID: USER}, "pings": [OUTCOME, ...]}.
`taken` are those of the ports that somebody listens on, `foreign` the owners of those folders that are there and not
the user's, `~` being the home; `gpu_programs` is what nvidia-smi says of who uses the GPU, `owners` whose these
processes are. A ping's outcome is true, false, or the words why nobody can tell.
Nothing is changed. Standard library only, Linux, Python 3.8 or newer.
"""

import json
import os
import pwd
import subprocess
import sys
import threading
import time

# Who uses the GPU, in nvidia-smi's words; it takes 1 to 2 s where no daemon keeps the driver loaded.
GPU_PROGRAMS = ("nvidia-smi", "--query-compute-apps=pid,used_memory,process_name", "--format=csv,noheader,nounits")
GPU_S = 5.0
# The state of a socket that listens (linux/net/tcp_states.h).
LISTENS = "0A"
# What IP and ICMP put before a ping's bytes (RFC 791 and 792, RFC 8200 and 4443).
HEADERS, HEADERS_V6 = 28, 48
# How a kernel says that a packet has no way out (EMSGSIZE, ENETUNREACH, EHOSTUNREACH).
NO_WAY = ("essage too long", "unreachable", "No route to host")
# Pings at a time, and seconds for one and for all of them. An answer within a cluster takes far below a second.
AT_A_TIME = 64
ONE_S = 3.0
ALL_S = 15.0


def listening(table):
    """The local ports that `table`, a file as /proc/net/tcp, has listeners on."""
    found = set()
    try:
        with open(table, encoding="ascii", errors="replace") as lines:
            next(lines, None)
            for line in lines:
                fields = line.split()
                if len(fields) > 3 and fields[3] == LISTENS:
                    found.add(int(fields[1].rsplit(":", 1)[1], 16))
    except (OSError, ValueError, IndexError):
        # A kernel without IPv6 has no such file.
        pass
    return found


def foreign(folders):
    """Which folders of the user's home somebody else owns, and who."""
    found = {}
    for folder in folders:
        try:
            owner = os.stat(os.path.expanduser(folder)).st_uid
        except OSError:
            continue
        if owner != os.getuid():
            found[folder] = owner
    return found


def gpu_programs():
    """What nvidia-smi says, or None."""
    try:
        ended = subprocess.run(
            GPU_PROGRAMS, stdin=subprocess.DEVNULL, capture_output=True, timeout=GPU_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode("utf-8", "replace")[:65536] if ended.returncode == 0 else None


def owner(pid):
    """Whose a process is, or None."""
    try:
        user = os.stat("/proc/{}".format(int(pid))).st_uid
        return pwd.getpwuid(user).pw_name
    except (OSError, ValueError):
        return None
    except KeyError:
        return "user {}".format(user)


def owners(programs):
    """Whose the processes are that begin `programs`' lines."""
    pids = {line.split(",")[0].strip() for line in (programs or "").splitlines()}
    found = {pid: owner(pid) for pid in pids}
    return {pid: user for pid, user in found.items() if user is not None}


def ping(source, address, mtu):
    """Whether a packet of `mtu` bytes, never in pieces, gets to `address` and back."""
    headers = HEADERS_V6 if ":" in address else HEADERS
    packet = ("-M", "do", "-s", str(mtu - headers), "-c", "1", "-W", "1")
    try:
        ended = subprocess.run(
            ("ping", "-n", "-q", *packet, "-I", source, address),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=ONE_S,
            env=dict(os.environ, LC_ALL="C"),
            check=False,
        )
    except FileNotFoundError:
        return "there is no `ping` (iputils-ping)"
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:
        return "ping cannot be started: " + (error.strerror or str(error))
    said = ended.stderr.decode("utf-8", "replace").strip()
    # 1 is no answer (ping(8)); 2 is everything else, a packet that the node itself cannot send among it.
    if ended.returncode in (0, 1) or any(words in said for words in NO_WAY):
        return ended.returncode == 0
    return (said or "ping ended with status {}".format(ended.returncode))[:200]


def ping_all(pings):
    """The outcome of each ping, in their order."""
    outcomes = ["not tried: the others took too long"] * len(pings)
    left = list(range(len(pings)))
    until = time.monotonic() + ALL_S

    def some():
        while time.monotonic() < until:
            try:
                at = left.pop()
            except IndexError:
                return
            outcomes[at] = ping(*pings[at])

    threads = [threading.Thread(target=some, daemon=True) for _ in range(min(AT_A_TIME, len(pings)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def answer(order):
    """The document."""
    listens = listening("/proc/net/tcp") | listening("/proc/net/tcp6")
    programs = gpu_programs() if order["gpu_programs"] else None
    return {
        "user": os.getuid(),
        "taken": [port for port in order["ports"] if port in listens],
        "foreign": foreign(order["folders"]),
        "ray_token": os.path.exists(os.path.expanduser("~/.ray/auth_token")),
        "gpu_programs": programs,
        "owners": owners(programs),
        "pings": ping_all(order["pings"]),
    }


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
