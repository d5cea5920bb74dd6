"""What a node's files and tools say, as one JSON document on stdout: read there, understood by the harness.

Run as `python3 -I -c`, with this text. It decides nothing: files are text under their paths, commands
are what they printed, and whatever is not there is left out. Everything has a bound, so that a node that is odd
cannot make the answer long or late. Standard library only, Linux, Python 3.8 or newer.
"""

import glob
import json
import os
import resource
import subprocess
import sys
import threading
import time

FORMAT = 1

# Bytes of one file, of all files and of one stream of a command; entries of one folder; files and folders in all.
MOST_OF_A_FILE = 64 << 10
MOST_OF_ALL_FILES = 1 << 20
MOST_OF_A_STREAM = 128 << 10
MOST_ENTRIES = 512
MOST_PATHS = 8192

# Seconds for one command. nvidia-smi takes 1 to 2 where no daemon keeps the driver loaded.
LIMIT_S = 5.0

FILES = (
    "/proc/meminfo",
    "/proc/cmdline",
    "/etc/os-release",
    "/sys/class/net/*/address",
    "/sys/class/net/*/carrier",
    "/sys/class/net/*/mtu",
    "/sys/class/net/*/operstate",
    "/sys/class/net/*/speed",
    "/sys/class/net/*/type",
    "/sys/class/infiniband/*/ports/*/link_layer",
    "/sys/class/infiniband/*/ports/*/rate",
    "/sys/class/infiniband/*/ports/*/state",
)
FOLDERS = (
    "/etc/cdi",
    "/var/run/cdi",
    "/sys/class/net",
    "/sys/class/net/*/wireless",
    "/sys/class/infiniband",
    "/sys/class/infiniband/*/device/net",
    "/sys/class/infiniband/*/ports",
)
LINKS = ("/sys/class/net/*/device", "/sys/class/net/*/phy80211")
PORTS = "/sys/class/infiniband/*/ports/*"
NO_GID = "0000:0000:0000:0000:0000:0000:0000:0000"

GPU_FIELDS = (
    "name",
    "compute_cap",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "temperature.gpu",
    "power.draw",
)
COMMANDS = {
    "ip_address": ("ip", "-j", "addr"),
    "ip_route": ("ip", "-j", "route"),
    "ip_route_v6": ("ip", "-6", "-j", "route"),
    "ip_neighbour": ("ip", "-j", "neigh"),
    "nvidia_smi": ("nvidia-smi", "--query-gpu=" + ",".join(GPU_FIELDS), "--format=csv,noheader,nounits"),
    "docker": ("docker", "version", "--format", "{{.Server.Version}}"),
    "podman": ("podman", "--version"),
    "kernel_log": ("journalctl", "--dmesg", "--boot=0", "--no-pager", "--quiet", "--output=short-iso"),
    "kernel_log_before": ("journalctl", "--dmesg", "--boot=-1", "--no-pager", "--quiet", "--output=short-iso"),
}
# Of a kernel's log only the lines with one of these are kept.
MEMORY_TRACES = (b"NV_ERR_NO_MEMORY", b"Out of memory", b"oom-kill")
KEEP = {"kernel_log": MEMORY_TRACES, "kernel_log_before": MEMORY_TRACES}

# Programs that end others before memory is used up, as /proc/PID/comm names them.
GUARDS = ("earlyoom", "systemd-oomd", "nohang")


class Files:
    """Files, folders and links as far as the bounds go."""

    def __init__(self):
        self.files, self.unreadable, self.folders, self.links = {}, {}, {}, {}
        self.left = MOST_OF_ALL_FILES
        # Whether there are more paths than are read.
        self.cut = False

    def room(self):
        held = len(self.files) + len(self.unreadable) + len(self.folders) + len(self.links)
        self.cut = self.cut or held >= MOST_PATHS
        return not self.cut

    def read(self, path):
        if not self.room():
            return None
        try:
            with open(path, "rb") as file:
                data = file.read(min(MOST_OF_A_FILE, self.left) + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Many files of /sys say so where they have nothing to tell, such as the speed of a link that is down.
            self.unreadable[path] = error.strerror or str(error)
            return None
        if len(data) > min(MOST_OF_A_FILE, self.left):
            self.unreadable[path] = "longer than what is read"
            return None
        self.left -= len(data)
        self.files[path] = data.decode("utf-8", "replace").strip()
        return self.files[path]

    def list(self, path):
        if not self.room():
            return
        try:
            self.folders[path] = sorted(os.listdir(path))[:MOST_ENTRIES]
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self.unreadable[path] = error.strerror or str(error)

    def read_all(self):
        for pattern in FILES:
            for path in sorted(glob.glob(pattern)):
                self.read(path)
        for pattern in FOLDERS:
            for path in sorted(glob.glob(pattern)):
                self.list(path)
        for pattern in LINKS:
            for path in sorted(glob.glob(pattern)):
                if self.room():
                    self.links[path] = os.path.realpath(path)
        for port in sorted(glob.glob(PORTS)):
            self.read_gids(port)

    def read_gids(self, port):
        """The GIDs that are set; a table has hundreds of places, and the attributes of an empty one cannot be read."""
        for index in sorted(glob.glob(port + "/gids/*"))[:MOST_ENTRIES]:
            if self.read(index) == NO_GID:
                del self.files[index]
            elif index in self.files:
                number = os.path.basename(index)
                self.read(port + "/gid_attrs/types/" + number)
                self.read(port + "/gid_attrs/ndevs/" + number)


class Stream(threading.Thread):
    """Reads a stream to its end and keeps its beginning, or of that the lines that hold one of `words`."""

    def __init__(self, pipe, words):
        super().__init__(daemon=True)
        self.pipe, self.words = pipe, words
        self.kept, self.size, self.cut = [], 0, False
        self.start()

    def run(self):
        try:
            self.read()
        except (OSError, ValueError):
            self.cut = True
        finally:
            self.pipe.close()

    def read(self):
        while True:
            # With a bound: a line need not end.
            piece = self.pipe.readline(MOST_OF_A_STREAM)
            if not piece:
                return
            if self.words and not any(word in piece for word in self.words):
                continue
            if self.size + len(piece) > MOST_OF_A_STREAM:
                self.cut = True
                continue
            self.kept.append(piece)
            self.size += len(piece)

    def text(self):
        return b"".join(list(self.kept)).decode("utf-8", "replace")


def run(argv, words, limit_s):
    """What became of a command."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Messages are read by people and programs elsewhere.
            env=dict(os.environ, LC_ALL="C"),
        )
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return {"refused": {"why": error.strerror or str(error)}}
    out, log = Stream(process.stdout, words), Stream(process.stderr, ())
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        # Its end is hardly waited for: a program that waits for a driver may not be ended at all.
        process.kill()
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            pass
        return {"timed_out": {"limit_s": limit_s}}
    for stream in (out, log):
        # What it started may hold the stream open.
        stream.join(1.0)
    return {
        "exit": {"status": status, "stdout": out.text(), "stderr": log.text(), "cut": out.cut or out.is_alive()}
    }


def run_all(commands, limit_s=LIMIT_S):
    """What became of each command, all of them at once."""
    ended = {}

    def one(name, argv):
        ended[name] = run(argv, KEEP.get(name, ()), limit_s)

    threads = [threading.Thread(target=one, args=item, daemon=True) for item in commands.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def disks():
    """Size and room of the file systems that images and models lie on, each once."""
    found, seen = {}, set()
    for path in ("/", os.path.expanduser("~"), "/var/lib/docker"):
        try:
            device, size = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            continue
        if device not in seen:
            seen.add(device)
            found[path] = {"total": size.f_blocks * size.f_frsize, "free": size.f_bavail * size.f_frsize}
    return found


def guards():
    """Which programs that guard memory run."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, "rb") as file:
                name = file.read(64).decode("utf-8", "replace").strip()
        except OSError:
            continue
        if name in GUARDS:
            found.add(name)
    return sorted(found)


def limits():
    """The user's limits in bytes, soft and hard; null is none."""

    def shown(limit):
        return None if limit == resource.RLIM_INFINITY else limit

    names = {"memlock": resource.RLIMIT_MEMLOCK, "stack": resource.RLIMIT_STACK}
    return {name: [shown(limit) for limit in resource.getrlimit(which)] for name, which in names.items()}


def answer():
    """The document."""
    files = Files()
    files.read_all()
    commands = run_all(COMMANDS)
    name = os.uname()
    return {
        "format": FORMAT,
        "system": {"host_name": name.nodename, "kernel": name.release, "machine": name.machine},
        "files": files.files,
        "unreadable": files.unreadable,
        "cut": files.cut,
        "folders": files.folders,
        "links": files.links,
        "commands": commands,
        "disks": disks(),
        "guards": guards(),
        "limits": limits(),
        # The last thing that is read: the harness holds it against its own clock.
        "time_s": time.time(),
    }


if __name__ == "__main__":
    json.dump(answer(), sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    # A thread may still wait for a command that cannot be ended.
    os._exit(0)
