"""The process that holds the GPU: one request at a time in, its events out.

A process of its own, because a kernel may hang and CUDA may fail for good: the service stays
able to answer, and killing the group ends whatever the GPU was doing for it.
"""

import json
import math
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from spark_worker.bench import Bench
from spark_worker.children import forget_parent, own_group
from spark_worker.gpu import describe
from spark_worker.measurement import DeviceLost
from spark_worker.protocol import EventWriter, LineReader, RequestError

_LOST_STATUS = 3


class GpuProcess:
    """`fd` is ready to read when there are events, or when the process has ended."""

    def __init__(self, open_stage, scratch, guardian):
        self._guardian = guardian
        self._started_arm = None
        self.request = None
        requests, self._requests = os.pipe()
        answers, events = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._requests)
            os.close(answers)
            _live(open_stage, requests, events, Path(scratch), guardian)
        own_group(self.pid)
        guardian.watch(self.pid)
        os.close(requests)
        os.close(events)
        # Our own words: none of them may be lost.
        self._answers = LineReader(answers, longest=math.inf)
        self.fd = answers

    @property
    def idle(self):
        return self.request is None

    def send(self, request):
        """Only while idle: an idle process is reading, so this never waits for long."""
        self.request, self._started_arm = request, None
        pending = memoryview(json.dumps(request).encode() + b"\n")
        while pending:
            pending = pending[os.write(self._requests, pending) :]

    def read(self):
        """The event lines that have come, or None once the process has ended."""
        lines = self._answers.read()
        for line in lines or ():
            event = json.loads(line)
            if event["event"] == "starting":
                self._started_arm = event["arm"]
            elif event["event"] == "done":
                self.request = None
        return lines

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self):
        """Wait for the end, which must be near. The exit status, and why where the process could not say."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.kill()
        _, status = os.waitpid(self.pid, 0)
        self._guardian.forget(self.pid)
        os.close(self.fd)
        os.close(self._requests)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code or 1, None
        return 128 - code, f"the GPU process was killed by {signal.Signals(-code).name} {self._occupation()}"

    def _occupation(self):
        if self.request is None:
            return "between requests"
        if self._started_arm is None:
            return f"during {self.request['op']}"
        arm = self.request["arms"][self._started_arm]
        return f"after starting arm {self._started_arm}, {arm}, at batch size {self.request['batch_size']}"


def _live(open_stage, requests, events, scratch, guardian):
    """The child's whole life. It must not return: above it is the parent's stack."""
    status = 1
    try:
        os.setpgid(0, 0)
        guardian.release()
        # Triton, torch and what they start may print; that is log.
        os.dup2(2, 1)
        home = scratch / "gpu"
        home.mkdir(exist_ok=True)
        forget_parent(home)
        _serve(Bench(open_stage), requests, EventWriter(events))
        status = 0
    except DeviceLost as error:
        print(f"the GPU is lost to this process: {error}", file=sys.stderr)
        status = _LOST_STATUS
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _serve(bench, requests, events):
    operations = {"device": _device, "prepare": bench.prepare, "measure": bench.measure}
    with os.fdopen(requests) as lines:
        for line in lines:
            request = json.loads(line)
            request_id = request["id"]

            def emit(event, **fields):
                events.answer(request_id, event, **fields)

            try:
                ending = operations[request["op"]](request, emit)
            except RequestError as error:
                events.error(request_id, error)
                events.done(request_id, ok=False)
            except DeviceLost:
                raise
            except Exception as error:
                # Nobody can tell a broken device from a bug of ours: neither is worth going on with.
                traceback.print_exc()
                raise DeviceLost(f"{request['op']}: {type(error).__name__}: {error}") from error
            else:
                events.done(request_id, ok=True, **(ending or {}))


def _device(_request, emit):
    emit("device", **describe())
