"""What answers clients: as little of a server's HTTP as a health check, a list of models and a completion take.

Where LOOK_ALIKE_SERVER names the program `sparkbench`, its mock answers instead, unless it could not do what is to go
wrong.
"""

import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import faults

TEXT = "two words"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # As many at once as a load generator likes.
    request_queue_size = 1024

    def __init__(self, host, port, model, fault=None):
        """OSError where the port is taken."""
        self.model, self.fault, self.warm = model, fault, False
        super().__init__((host, port), Answers)

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server = self.server
        if self.path in ("/health", "/health_generate", "/ping"):
            self.answer(200 if server.warm and server.fault != "unhealthy" else 503)
        elif self.path == "/v1/models" and server.model:
            self.answer(200, {"object": "list", "data": [{"id": server.model, "object": "model"}]})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        kinds = {"/v1/completions": "text_completion", "/v1/chat/completions": "chat.completion"}
        kind = kinds.get(self.path)
        if kind is None or not self.server.model:
            self.answer(404, {"detail": "Not Found"})
            return
        if self.server.fault == "no-answer":
            faults.hang()
        if asked.get("stream"):
            # Whoever measures takes the mock.
            self.answer(501, {"error": {"message": "a look-alike streams nothing"}})
            return
        said = {"message": {"role": "assistant", "content": TEXT}} if "chat" in kind else {"text": TEXT}
        choice = {"index": 0, "finish_reason": "length", **said}
        usage = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
        self.answer(200, {"object": kind, "model": self.server.model, "choices": [choice], "usage": usage})


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Mock:
    """The project's own mock, as a child that ends with this process."""

    def __init__(self, program, host, port, model, cold_s):
        argv = [program, "mock", "--host", host, "--port", str(port), "--model", model]
        argv += ["--slow-start", f"{int(cold_s * 1000)}ms"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self.child = subprocess.Popen(argv, preexec_fn=die_with_parent, **quiet)

    def end(self):
        self.child.terminate()
        self.child.wait()


def serve(host, port, model, fault, cold_s, listens):
    """Answer as `model` and return once that is warm, after `cold_s` seconds; `listens` is called in between.

    Returns what is to be called at the end. OSError where the port is taken.
    """
    program = os.environ.get("LOOK_ALIKE_SERVER")
    model = "another-model" if fault == "other-model" else model
    if program and fault not in ("unhealthy", "no-answer"):
        mock = Mock(program, host, port, model, cold_s)
        listens()
        time.sleep(cold_s)
        threading.Thread(target=lambda: (mock.child.wait(), faults.end(1)), daemon=True).start()
        return mock.end
    server = Server(host, port, model, fault)
    server.start()
    listens()
    time.sleep(cold_s)
    server.warm = True
    return lambda: None
