"""The loop: requests in, events out, and never deaf while something is compiled or measured."""

import os
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections import deque

from spark_worker import PROTOCOL, installed
from spark_worker.batch import Batch
from spark_worker.cuda_stage import CudaStage
from spark_worker.fields import field, seconds
from spark_worker.gpu_process import GpuProcess
from spark_worker.guardian import Guardian
from spark_worker.probe import probe
from spark_worker.protocol import EventWriter, LineReader, RequestError, parse_request
from spark_worker.travel import Giving, Taking

_TERMINATED = 128 + signal.SIGTERM
# EX_TEMPFAIL of sysexits.h: the owner is gone, and whatever ran for it is not to blame.
_LEASH_STATUS = 75
# The leash of a worker whose owner may be gone before it can say `begin`, seconds.
_LEASH_VARIABLE = "SPARK_WORKER_LEASH_S"


def main(open_stage=CudaStage):
    scratch = tempfile.mkdtemp(prefix="spark-worker-")
    # First, so that it holds no copy of the protocol's stream.
    guardian = Guardian(scratch)
    events = EventWriter(_claim_stdout())
    service = Service(LineReader(sys.stdin.fileno()), events, scratch, guardian, open_stage)
    try:
        return service.run()
    except BrokenPipeError:
        return 0  # nobody reads any more: the same as a closed stdin
    finally:
        service.abandon_all()
        guardian.dismiss()


def _claim_stdout():
    """Keep the protocol's stream for events alone; a stray print goes to the log."""
    protocol = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return protocol


class Service:
    def __init__(self, requests, events, scratch, guardian, open_stage):
        self._requests = requests
        self._events = events
        self._scratch = scratch
        self._guardian = guardian
        self._open_stage = open_stage
        # Forked when first needed, and kept with all it has prepared.
        self._gpu = None
        self._for_gpu = deque()
        # The first runs, the others wait for it.
        self._batches = deque()
        # poll, because unlike epoll it also takes a stdin that is a plain file.
        self._selector = selectors.PollSelector()
        self._exit_status = None
        # Seconds without a word from the owner after which it counts as gone; none until it says so.
        self._leash = None
        self._heard = time.monotonic()
        self._operations = {
            "begin": self._begin,
            "ping": self._ping,
            "probe": self._probe,
            "compile": lambda request: self._queue(Batch, request),
            "give": lambda request: self._queue(Giving, request),
            "take": lambda request: self._queue(Taking, request),
            "device": self._for_gpu.append,
            "prepare": self._for_gpu.append,
            "measure": self._for_gpu.append,
            "cancel": self._cancel,
            "quit": self._quit,
        }

    def run(self):
        self._selector.register(self._requests.fd, selectors.EVENT_READ, self._read_requests)
        self._stop_on_signals()
        self._events.emit("hello", protocol=PROTOCOL, **installed.versions(), device=None)
        # Not before: what the hello tells may take a while to find.
        if _LEASH_VARIABLE in os.environ:
            self._hold_leash(float(os.environ[_LEASH_VARIABLE]))
        while self._exit_status is None:
            self._advance()
            self._advance_gpu()
            for key, _ in self._selector.select(self._patience()):
                # A kill earlier in this round may have closed what was ready.
                if self._is_registered(key.fd):
                    key.data()
            self._expire()
        return self._exit_status

    def abandon_all(self):
        for batch in self._batches:
            batch.abandon()
        if self._gpu is not None:
            self._gpu.kill()
            self._end_gpu()

    def _stop_on_signals(self):
        """Turn signals into bytes to read: a handler that raised could interrupt anything."""
        wake, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        signal.set_wakeup_fd(self._wakeup)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, lambda: self._stop(_TERMINATED))

    def _stop(self, status):
        self._exit_status = status

    # Requests

    def _read_requests(self):
        lines = self._requests.read()
        if lines is None:
            self._stop(0)
            return
        self._heard = time.monotonic()
        self._guardian.heard()
        for line in lines:
            self._serve(line)

    def _serve(self, line):
        request_id = None
        try:
            request = parse_request(line)
            request_id = request.get("id")
            if isinstance(request_id, bool) or not isinstance(request_id, int):
                request_id = None
                raise RequestError("bad_request", "id must be an integer")
            name = field(request, "op", str)
            if name not in self._operations:
                raise RequestError("unknown_op", f"{name} is none of {', '.join(self._operations)}")
            self._operations[name](request)
        except RequestError as error:
            self._refuse(request_id, error)
        except Exception as error:  # one bad request must not cost the others their answers
            traceback.print_exc()
            self._refuse(request_id, RequestError("internal_error", f"{type(error).__name__}: {error}"))

    def _refuse(self, request_id, error):
        self._events.error(request_id, error)
        # A line without an id asked for nothing that could be done.
        if request_id is not None:
            self._events.done(request_id, ok=False)

    def _begin(self, request):
        self._hold_leash(seconds(request, "leash_s", None))
        self._events.done(request["id"], ok=True)

    def _hold_leash(self, leash):
        self._leash, self._heard = leash, time.monotonic()
        self._guardian.leash(leash)

    def _ping(self, request):
        self._events.done(request["id"], ok=True)

    def _probe(self, request):
        self._events.answer(request["id"], "probed", **probe(request))
        self._events.done(request["id"], ok=True)

    def _queue(self, kind, request):
        self._batches.append(kind(request, self._events, self._scratch, self._guardian))

    def _cancel(self, request):
        cancels = field(request, "cancels", int)
        for batch in self._batches:
            if batch.id == cancels:
                self._unregister(batch.children)
                batch.abandon()
                self._batches.remove(batch)
                batch.report_done(ok=False, cancelled=True)
                self._events.done(request["id"], ok=True)
                return
        if not self._cancel_for_gpu(cancels):
            raise RequestError("nothing_to_cancel", f"nothing that can be cancelled is under way with id {cancels}")
        self._events.done(cancels, ok=False, cancelled=True)
        self._events.done(request["id"], ok=True)

    def _quit(self, request):
        self._events.done(request["id"], ok=True)
        self._stop(0)

    # Measuring

    def _advance_gpu(self):
        """Hand the next request to the GPU process once it has answered the one before."""
        if not self._for_gpu or (self._gpu is not None and not self._gpu.idle):
            return
        if self._gpu is None:
            self._gpu = GpuProcess(self._open_stage, self._scratch, self._guardian)
            self._selector.register(self._gpu.fd, selectors.EVENT_READ, self._listen_to_gpu)
        self._gpu.send(self._for_gpu.popleft())

    def _listen_to_gpu(self):
        lines = self._gpu.read()
        if lines is not None:
            for line in lines:
                self._events.forward(line)
            return
        # What was prepared is gone, and what hit it may hit the next one: the owner decides.
        status, complaint = self._end_gpu()
        if complaint is not None:
            print(complaint, file=sys.stderr)
        self._stop(status)

    def _cancel_for_gpu(self, request_id):
        """Whether there was something: a request that waits is dropped, one that runs dies with the process."""
        for request in self._for_gpu:
            if request["id"] == request_id:
                self._for_gpu.remove(request)
                return True
        if self._gpu is None or self._gpu.idle or self._gpu.request["id"] != request_id:
            return False
        self._gpu.kill()
        self._end_gpu()
        return True

    def _end_gpu(self):
        gpu, self._gpu = self._gpu, None
        self._selector.unregister(gpu.fd)
        return gpu.reap()

    # Compiling

    def _advance(self):
        """Start what may start, and close the batches that have nothing left."""
        while self._batches:
            batch = self._batches[0]
            try:
                for child in batch.start_more():
                    self._selector.register(child.fd, selectors.EVENT_READ, lambda child=child: self._listen(child))
            except RequestError as error:
                self._refuse_begun(batch, error)
                continue
            if not batch.finished:
                return
            batch.report_done()
            self._batches.popleft()

    def _listen(self, child):
        if not child.read():
            self._unregister([child])
            batch = self._batches[0]
            try:
                batch.collect(child)
            except RequestError as error:
                self._refuse_begun(batch, error)

    def _refuse_begun(self, batch, error):
        """What is not compiled of it cannot be compiled here."""
        self._unregister(batch.children)
        batch.abandon()
        self._batches.remove(batch)
        self._refuse(batch.id, error)

    def _expire(self):
        now = time.monotonic()
        if self._leash is not None and now - self._heard >= self._leash:
            self._stop(_LEASH_STATUS)
        for child in [child for child in self._running() if child.deadline <= now]:
            self._unregister([child])
            self._batches[0].expire(child)

    def _patience(self):
        """Seconds until the next child, or the leash, runs out of time; None, for ever, where nothing can."""
        deadlines = [child.deadline for child in self._running()]
        if self._leash is not None:
            deadlines.append(self._heard + self._leash)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _running(self):
        return self._batches[0].children if self._batches else ()

    def _unregister(self, children):
        for child in children:
            self._selector.unregister(child.fd)

    def _is_registered(self, fd):
        return fd in self._selector.get_map()
