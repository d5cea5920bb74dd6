"""What a server says, by servers that answer, refuse, and are none."""

import json
import socket
import subprocess
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "node" / "serving.py"


def ask(port, complete=True):
    order = {"port": port, "model": "m", "complete": complete, "seconds": 5}
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM)],
        input=json.dumps(order).encode() + b"\n",
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


class Serving(unittest.TestCase):
    def server(self, answers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                asked.append((self.path, json.loads(self.rfile.read(length)) if length else None))
                status, body = answers.get(self.path, (404, "none"))
                body = body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1], asked

    def test_one_that_is_up(self):
        port, asked = self.server(
            {
                "/health": (200, ""),
                "/v1/models": (200, '{"data": [{"id": "m"}, {"id": "lora"}]}'),
                "/v1/completions": (200, '{"choices": [{"text": "x"}]}'),
            }
        )
        up = {"listens": True, "health": 200, "models": ["m", "lora"], "token": True}
        self.assertEqual(ask(port), up)
        self.assertEqual(asked[-1], ("/v1/completions", {"model": "m", "prompt": "Hi", "max_tokens": 1, "temperature": 0}))
        self.assertEqual(ask(port, complete=False), {**up, "token": None})

    def test_one_that_only_chats(self):
        port, _ = self.server(
            {
                "/health": (200, ""),
                "/v1/models": (200, '{"data": [{"id": "m"}]}'),
                "/v1/chat/completions": (200, '{"choices": [{}]}'),
            }
        )
        self.assertIs(ask(port)["token"], True)

    def test_one_that_is_not_well(self):
        port, _ = self.server(
            {"/health": (503, "starting"), "/v1/models": (200, "[]"), "/v1/completions": (500, "no memory")}
        )
        self.assertEqual(
            ask(port), {"listens": True, "health": 503, "models": None, "token": "status 500: no memory"}
        )

    def test_one_that_speaks_no_http(self):
        with socket.create_server(("127.0.0.1", 0)) as plain:
            port = plain.getsockname()[1]

            def chatter():
                while True:
                    try:
                        with plain.accept()[0] as peer:
                            peer.sendall(b"SSH-2.0-none\r\n")
                    except OSError:
                        return

            threading.Thread(target=chatter, daemon=True).start()
            answer = ask(port)
            self.assertEqual((answer["listens"], answer["health"], answer["models"]), (True, None, None))
            self.assertNotEqual(answer["token"], True)

    def test_nobody(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            nobody = {"listens": False, "health": None, "models": None, "token": None}
            self.assertEqual(ask(bound.getsockname()[1]), nobody)
