"""Hand an image from this node's engine to other nodes, or take one from another node.

Input: one JSON line, the order:
  {"role": "give", "socket": PATH, "image": NAME, "listen": [ADDRESS, ...], "count": HOW MANY COME}
  {"role": "take", "socket": PATH, "from": OWN ADDRESS, "connect": [ADDRESS, PORT], "token": TEXT}
PATH is the engine's socket. Output: JSON lines. Who gives says
  {"listening": {"ports": {ADDRESS: PORT}, "token": TEXT}}, about once a second {"bytes": COUNT}, and in the end
  {"sent": {"bytes": COUNT, "sha256": TEXT}}
Who takes says {"bytes": COUNT} about once a second while something comes, and
  {"taken": {"bytes": COUNT, "sha256": TEXT}} once everything has come, and keeps the end of it from the engine until a
  line comes on stdin; then {"loaded": [NAME, ...]}
Either may say {"failed": {"what": WHAT, "message": TEXT}}, where WHAT is `refused` (a no of the engine that takes),
`broke_off` (nothing comes from the node that gives, which may know more) or `failed`.

The bytes go as they are: who may have them is told by the token, and whether they are the right ones by the digest,
both of which go another way. Everything ends when stdin does. Standard library only, Linux, Python 3.8 or newer.
"""

import hashlib
import hmac
import http.client
import json
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
from urllib.parse import quote

# Seconds: for all to come, and for each to say who it is; to connect; without a byte taken; for an engine to pack or
# unpack.
COME_S = 20.0
WORD_S = 2.0
CONNECT_S = 10.0
IDLE_S = 60
PACK_S = 1800.0
# Bytes that are read at a time, and that are kept from the engine: an archive without its end is loaded by nobody.
PIECE = 1 << 18
HELD = 1 << 16
# A piece has its length before it. These are none.
END, TICK = 0, 0xFFFFFFFF
# The longest answer of an engine that is read.
MOST_ANSWER = 4 << 20


class Lost(Exception):
    """The way between the nodes, or the node that gives, is what failed."""


class BrokeOff(Lost):
    """What was to come from the other node does not."""


class Refused(Exception):
    """The engine that takes says no."""


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Engine(http.client.HTTPConnection):
    """The engine behind a socket of this node."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PACK_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def watched(sock):
    """Let the kernel notice that the other node is gone: within 15 s who waits for it, within a minute who sends."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2)):
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, IDLE_S * 1000)
    sock.settimeout(IDLE_S)
    return sock


def whole(sock, count):
    """So many bytes of `sock`."""
    pieces = []
    while count:
        piece = sock.recv(min(count, PIECE))
        if not piece:
            raise BrokeOff("the other node broke off")
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


# ---- Who gives.


class Taker:
    """The connection of a node that takes."""

    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()
        self.last = time.monotonic()
        self.gone = False

    def send(self, piece, length=None):
        """Whether it could be sent."""
        with self.lock:
            try:
                if not self.gone:
                    self.sock.sendall(struct.pack(">I", len(piece) if length is None else length) + piece)
                    self.last = time.monotonic()
            except OSError:
                # Part of it may have gone: what comes behind would mean something else.
                self.gone = True
                self.sock.close()
            return not self.gone

    def tick(self):
        """Show that somebody is there while the engine packs. Who is being sent to needs no sign."""
        if time.monotonic() - self.last > 1 and self.lock.acquire(blocking=False):
            self.lock.release()
            self.send(b"", TICK)


def come(listeners, count, token):
    """Those who came in time and know the token."""
    takers, until = [], time.monotonic() + COME_S
    while len(takers) < count and time.monotonic() < until:
        for listener in select.select(listeners, [], [], max(0, until - time.monotonic()))[0]:
            sock = listener.accept()[0]
            try:
                sock.settimeout(WORD_S)
                if hmac.compare_digest(whole(sock, len(token)), token):
                    takers.append(Taker(watched(sock)))
                    continue
            except (OSError, Lost):
                pass
            sock.close()
    return takers


def give(order):
    token = secrets.token_hex(32)
    listeners, ports = [], {}
    for address in order["listen"]:
        try:
            listener = socket.socket(family(address), socket.SOCK_STREAM)
            listener.bind((address, 0))
            listener.listen(order["count"])
        except OSError as error:
            raise Lost(f"cannot listen on {address}: {error.strerror}") from error
        listeners.append(listener)
        ports[address] = listener.getsockname()[1]
    say({"listening": {"ports": ports, "token": token}})
    takers = come(listeners, order["count"], token.encode())
    for listener in listeners:
        listener.close()
    if not takers:
        raise Lost("no node came to take the image")

    def ticking():
        while True:
            time.sleep(1)
            for taker in list(takers):
                taker.tick()

    threading.Thread(target=ticking, daemon=True).start()
    engine = Engine(order["socket"])
    engine.request("GET", "/images/get?names=" + quote(order["image"], safe=""))
    answer = engine.getresponse()
    if answer.status != 200:
        raise Lost(f"the engine cannot save the image: {message(answer.read(MOST_ANSWER))}")
    digest, count, told = hashlib.sha256(), 0, time.monotonic()
    while True:
        piece = answer.read(PIECE)
        if not piece:
            break
        digest.update(piece)
        count += len(piece)
        takers[:] = [taker for taker in takers if taker.send(piece)]
        if not takers:
            raise Lost("no node takes the image any more")
        if time.monotonic() - told >= 1:
            told = time.monotonic()
            say({"bytes": count})
    for taker in takers:
        taker.send(b"", END)
    say({"sent": {"bytes": count, "sha256": digest.hexdigest()}})


# ---- Who takes.


def pieces(sock):
    """What comes, to its end."""
    while True:
        length = struct.unpack(">I", whole(sock, 4))[0]
        if length == END:
            return
        if length == TICK:
            continue
        if length > PIECE:
            raise Lost("what comes is no image of ours")
        yield whole(sock, length)


def message(body):
    """What an engine says with its no."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def names(body):
    """The names of what was loaded, by the engine's answer, one object behind another."""
    found, text, decoder = [], body.decode(errors="replace").strip(), json.JSONDecoder()
    while text:
        try:
            said, end = decoder.raw_decode(text)
        except ValueError as error:
            raise Lost("the engine's answer is no JSON") from error
        text = text[end:].strip()
        if said.get("error") or said.get("errorDetail"):
            raise Refused(said.get("error") or said["errorDetail"].get("message", ""))
        words = (said.get("stream") or said.get("status") or "").strip()
        for begin in ("Loaded image: ", "Loaded image ID: "):
            if words.startswith(begin):
                found.append(words[len(begin) :])
    return found


def answered(engine):
    """What the engine says to what it was sent."""
    answer = engine.getresponse()
    body = answer.read(MOST_ANSWER)
    if answer.status != 200:
        raise Refused(message(body))
    return names(body)


def take(order, go):
    address, port = order["connect"]
    try:
        sock = socket.create_connection((address, port), CONNECT_S, (order["from"], 0))
    except OSError as error:
        raise Lost(f"no connection from {order['from']} to {address}: {error.strerror or error}") from error
    watched(sock).sendall(order["token"].encode())
    engine = Engine(order["socket"])
    engine.putrequest("POST", "/images/load")
    engine.putheader("Content-Type", "application/x-tar")
    engine.putheader("Transfer-Encoding", "chunked")
    engine.endheaders()

    def load(piece):
        try:
            engine.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        except OSError as error:
            # It hung up: it may have said why.
            try:
                answered(engine)
            except (OSError, http.client.HTTPException) as silent:
                raise Refused(f"it hung up: {error.strerror}") from silent
            raise Refused("it has taken less than the whole") from error

    digest, count, held, told = hashlib.sha256(), 0, b"", time.monotonic()
    try:
        for piece in pieces(sock):
            digest.update(piece)
            count += len(piece)
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                say({"bytes": count})
            held += piece
            if len(held) > HELD:
                load(held[:-HELD])
                held = held[-HELD:]
    except OSError as error:
        raise BrokeOff(f"the other node is lost: {error.strerror or error}") from error
    say({"taken": {"bytes": count, "sha256": digest.hexdigest()}})
    go.wait()
    if held:
        load(held)
    engine.send(b"0\r\n\r\n")
    say({"loaded": answered(engine)})


def main():
    order, go = json.loads(sys.stdin.readline()), threading.Event()

    def listen():
        if sys.stdin.readline():
            go.set()
            sys.stdin.read()
        # Nobody listens any more. What an engine was sent half of it forgets.
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    try:
        if order["role"] == "give":
            give(order)
        else:
            take(order, go)
    except Refused as error:
        say({"failed": {"what": "refused", "message": str(error)}})
    except BrokeOff as error:
        say({"failed": {"what": "broke_off", "message": str(error)}})
    except (Lost, OSError, http.client.HTTPException) as error:
        say({"failed": {"what": "failed", "message": str(error) or type(error).__name__}})
    # Past the threads, and past what is left of a request that is not to be ended in good order.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
