"""Lines of JSON in, lines of JSON out."""

import json
import os
from dataclasses import dataclass


# Bytes, either way. A request for a whole search space takes about a tenth of it.
LONGEST_LINE = 4 << 20


@dataclass
class RequestError(Exception):
    """A request that cannot be carried out; `code` is for programs, `message` for people."""

    code: str
    message: str

    def __str__(self):
        return f"{self.code}: {self.message}"


class LineReader:
    """Cuts what arrives on a file descriptor into lines, without ever waiting for more."""

    _CHUNK = 65536

    def __init__(self, fd, longest=LONGEST_LINE):
        self.fd = fd
        self._longest = longest
        self._partial = bytearray()
        # In a line that is too long, whose end is still to come.
        self._skipping = False

    def read(self):
        """The lines completed by what is there now, or None once the other side has closed.

        A last line without its newline was cut off by whoever died writing it: dropped. In the
        place of a line that is too long stands None; it is never held as a whole.
        """
        chunk = os.read(self.fd, self._CHUNK)
        if not chunk:
            return None
        lines = []
        for piece in chunk.splitlines(keepends=True) if b"\n" in chunk else [chunk]:
            self._take(piece, lines)
        return lines

    def _take(self, piece, lines):
        ends = piece.endswith(b"\n")
        if not self._skipping:
            self._partial += piece
            if len(self._partial) - ends > self._longest:
                self._skipping = True
                self._partial.clear()
                lines.append(None)
        if ends:
            if self._partial.strip():
                lines.append(bytes(self._partial[:-1]))
            self._partial.clear()
            self._skipping = False


class EventWriter:
    """Writes one event a line, whole, at once: the reader acts on each as it comes."""

    def __init__(self, fd):
        self._fd = fd

    def emit(self, event, **fields):
        self.forward(json.dumps({"event": event, **fields}, separators=(",", ":")).encode())

    def forward(self, line):
        """Write a line that is an event already."""
        pending = memoryview(line + b"\n")
        while pending:
            pending = pending[os.write(self._fd, pending) :]

    def answer(self, request_id, event, **fields):
        self.emit(event, id=request_id, **fields)

    def error(self, request_id, error):
        self.answer(request_id, "error", code=error.code, message=error.message)

    def done(self, request_id, ok, **fields):
        self.answer(request_id, "done", ok=ok, **fields)


def parse_request(line):
    if line is None:
        raise RequestError("bad_request", f"a request takes {LONGEST_LINE} bytes at most")
    try:
        request = json.loads(line)
    except ValueError as error:
        raise RequestError("bad_request", f"not a line of JSON: {error}") from error
    if not isinstance(request, dict):
        raise RequestError("bad_request", f"a request is an object, not {type(request).__name__}")
    return request
