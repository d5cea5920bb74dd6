"""An image handed from one node to another, between look-alikes of engines."""

import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from node import image as node_image

PROGRAM = Path(node_image.__file__)
# Of no whole number of pieces, and more than is kept from an engine.
IMAGE = os.urandom(3 * node_image.PIECE + 12345)


class Handler(BaseHTTPRequestHandler):
    """An engine's `GET /images/get` and `POST /images/load`, and nothing else of one."""

    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "socket"

    def log_message(self, *_):
        pass

    def do_GET(self):
        look_alike = self.server.look_alike
        if "none" in self.path:
            return self.say(404, b'{"message": "no such image"}')
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(look_alike.image), look_alike.image))
        if look_alike.breaks_off:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        look_alike = self.server.look_alike
        while True:
            line = self.rfile.readline()
            if not line:
                look_alike.broken = True
                self.close_connection = True
                return
            count = int(line, 16)
            piece = self.rfile.read(count)
            self.rfile.readline()
            if not count:
                break
            look_alike.loaded += piece
            look_alike.has_some.set()
        self.say(200, look_alike.answer)

    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class LookAlike:
    """An engine that has an image, and remembers what it is told to load."""

    def __init__(self, test, image=IMAGE, breaks_off=False, answer=b'{"stream":"Loaded image: a:b\\n"}\n'):
        self.image, self.breaks_off, self.answer = image, breaks_off, answer
        self.loaded, self.broken, self.has_some = b"", False, threading.Event()
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.socket = f"{folder.name}/engine.sock"
        server = socketserver.ThreadingUnixStreamServer(self.socket, Handler)
        server.daemon_threads = True
        server.look_alike = self
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        test.addCleanup(server.server_close)
        test.addCleanup(server.shutdown)


class Program:
    """The program with an order."""

    def __init__(self, test, **order):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-I", str(PROGRAM)], **pipes)
        test.addCleanup(self.end)
        self.tell(json.dumps(order))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        """The next line that is no progress."""
        for line in self.process.stdout:
            said = json.loads(line)
            if "bytes" not in said:
                return said
        return None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Handing(unittest.TestCase):
    def giving(self, engine, image="a:b", count=1):
        giving = Program(self, role="give", socket=engine.socket, image=image, listen=["127.0.0.1"], count=count)
        listening = giving.hear()["listening"]
        return giving, listening["ports"]["127.0.0.1"], listening["token"]

    def taking(self, engine, port, token):
        order = {"from": "127.0.0.1", "connect": ["127.0.0.1", port], "token": token}
        return Program(self, role="take", socket=engine.socket, **order)

    def test_every_byte_gets_to_everybody_and_the_end_of_them_only_when_told(self):
        source, targets = LookAlike(self), [LookAlike(self), LookAlike(self)]
        giving, port, token = self.giving(source, count=2)
        taking = [self.taking(target, port, token) for target in targets]
        whole = {"bytes": len(IMAGE), "sha256": hashlib.sha256(IMAGE).hexdigest()}
        self.assertEqual(giving.hear(), {"sent": whole})
        for target, program in zip(targets, taking, strict=True):
            self.assertEqual(program.hear(), {"taken": whole})
            self.assertTrue(target.has_some.wait(10))
            self.assertLessEqual(len(target.loaded), len(IMAGE) - node_image.HELD)
            program.tell("go")
            self.assertEqual(program.hear(), {"loaded": ["a:b"]})
            self.assertEqual(target.loaded, IMAGE)

    def test_an_image_smaller_than_what_is_kept_gets_there_too(self):
        source, target = LookAlike(self, image=b"small"), LookAlike(self)
        _, port, token = self.giving(source)
        taking = self.taking(target, port, token)
        self.assertEqual(taking.hear()["taken"]["bytes"], 5)
        taking.tell("go")
        self.assertEqual(taking.hear(), {"loaded": ["a:b"]})
        self.assertEqual(target.loaded, b"small")

    def test_who_is_not_told_to_go_on_has_loaded_nothing(self):
        source, target = LookAlike(self), LookAlike(self)
        _, port, token = self.giving(source)
        taking = self.taking(target, port, token)
        self.assertIn("taken", taking.hear())
        # As when the harness is gone.
        taking.process.stdin.close()
        self.assertEqual(taking.process.wait(10), 1)
        self.assertLess(len(target.loaded), len(IMAGE))

    def test_who_does_not_know_the_token_gets_nothing(self):
        source, target = LookAlike(self), LookAlike(self)
        _, port, token = self.giving(source)
        for wrong in (b"x" * len(token), b"GET / HTTP/1.1\r\n\r\n".ljust(len(token)), b"\xff" * len(token)):
            with socket.create_connection(("127.0.0.1", port), 10) as stranger:
                stranger.sendall(wrong)
                self.assertEqual(stranger.recv(1), b"")
        taking = self.taking(target, port, token)
        self.assertEqual(taking.hear()["taken"]["bytes"], len(IMAGE))
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", port), 10)

    def test_a_source_that_breaks_off_is_no_end(self):
        source, target = LookAlike(self, breaks_off=True), LookAlike(self)
        giving, port, token = self.giving(source)
        taking = self.taking(target, port, token)
        self.assertEqual(giving.hear()["failed"]["what"], "failed")
        self.assertEqual(taking.hear(), {"failed": {"what": "broke_off", "message": "the other node broke off"}})
        taking.process.wait(10)
        self.assertLess(len(target.loaded), len(IMAGE))

    def test_an_image_that_is_not_there_is_told_of(self):
        giving, port, token = self.giving(LookAlike(self), image="none")
        self.assertIn("failed", self.taking(LookAlike(self), port, token).hear())
        self.assertIn("no such image", giving.hear()["failed"]["message"])

    def test_an_engine_that_says_no_is_quoted(self):
        for answer in (
            b'{"errorDetail":{"message":"no space left"},"error":"no space left"}',
            b'{"error":"no space left"}',
        ):
            target = LookAlike(self, answer=b'{"status":"Loading"}\r\n' + answer)
            _, port, token = self.giving(LookAlike(self))
            taking = self.taking(target, port, token)
            taking.hear()
            taking.tell("go")
            self.assertEqual(taking.hear(), {"failed": {"what": "refused", "message": "no space left"}})

    def test_nobody_there_is_told_of(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        failed = self.taking(LookAlike(self), port, "token").hear()["failed"]
        self.assertEqual(failed["what"], "failed")
        self.assertIn("no connection from 127.0.0.1 to 127.0.0.1", failed["message"])
        order = {"socket": "/none", "image": "a:b", "listen": ["192.0.2.1"], "count": 1}
        self.assertIn("cannot listen on 192.0.2.1", Program(self, role="give", **order).hear()["failed"]["message"])

    def test_what_comes_must_be_ours(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            taking = self.taking(LookAlike(self), server.getsockname()[1], "token")
            with server.accept()[0] as stranger:
                stranger.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self.assertEqual(taking.hear()["failed"]["message"], "what comes is no image of ours")
