"""How ranks find one another: rank 0 listens at the rendezvous address, the others try until it does.

Over the same connection the others say when they have loaded, and rank 0 when they are to end. A rank that dies is not
noticed by those that wait for it, as with NCCL; where rank 0 ends, the others do a moment after.
"""

import socket
import threading
import time

from . import faults

RETRY_S = 0.1


def split_address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def taken(port):
    """torch's words where rank 0 cannot listen."""
    return (
        "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. "
        f"port: {port}, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
    )


class Head:
    """Rank 0's end."""

    def __init__(self, port):
        """OSError where the port is taken."""
        self.listener = socket.create_server(("", port))
        self.ranks = {}

    def gather(self, count):
        """Wait until `count` other ranks are there, and let all go on."""
        while len(self.ranks) < count:
            connection, _ = self.listener.accept()
            lines = connection.makefile("r")
            said = lines.readline().split()
            if len(said) == 2 and said[0] == "rank":
                self.ranks[int(said[1])] = (connection, lines)
        self.tell("go")

    def tell(self, word):
        for connection, _ in self.ranks.values():
            try:
                connection.sendall(f"{word}\n".encode())
            except OSError:
                # It has died, and nobody notices.
                continue

    def await_loaded(self):
        for _, lines in self.ranks.values():
            if lines.readline().strip() != "loaded":
                faults.hang()


class Follower:
    """Another rank's end."""

    def __init__(self, address, rank):
        self.connection = connect(address)
        self.lines = self.connection.makefile("r")
        self.say(f"rank {rank}")

    def say(self, line):
        self.connection.sendall(f"{line}\n".encode())

    def await_go(self):
        """Whether rank 0 said so, and did not end before."""
        return self.lines.readline().strip() == "go"

    def watch(self, ended):
        """Call `ended` once rank 0 says `stop` (True) or is gone (False)."""

        def listen():
            try:
                said = self.lines.readline().strip() == "stop"
            except OSError:
                said = False
            ended(said)

        threading.Thread(target=listen, daemon=True).start()


def connect(address):
    while True:
        try:
            connection = socket.create_connection(address, timeout=5)
        except OSError:
            time.sleep(RETRY_S)
        else:
            connection.settimeout(None)
            return connection
