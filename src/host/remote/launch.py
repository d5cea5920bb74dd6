"""Run the program that the first line of input describes; say on the error stream that it began, and how it ended.

Input: one line of JSON {"mark", "argv", "directory", "set", "unset", "limit_s"}; what follows is the program's own.
Output: first the mark, so that what a login shell said before can be told apart; then the program's output.
Log: the program's, and among it our lines, each the mark and JSON: {"pid"} once it runs, {"exit"} or {"signal"} once
it has ended, {"errno", "message"} where it could not start.

The program gets a session of its own, so that it can be ended with whatever it starts.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading


def first_line():
    # Byte by byte: what follows must stay in the pipe.
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("the order ended early")
        line += byte
    return json.loads(line)


order = first_line()
mark = order["mark"].encode()
os.write(1, mark + b"\n")


def say(what):
    os.write(2, mark + json.dumps(what).encode() + b"\n")


environment = {**os.environ, **order["set"]}
for name in order["unset"]:
    environment.pop(name, None)
try:
    program = subprocess.Popen(
        order["argv"], env=environment, cwd=order["directory"], start_new_session=True
    )
except (OSError, ValueError) as error:
    say({"errno": getattr(error, "errno", None), "message": str(error)})
    sys.exit(127)
say({"pid": program.pid})
# The program alone holds them now: they end when it ends.
os.close(0)
os.close(1)


def end_all():
    try:
        os.killpg(program.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_when_nobody_listens():
    # The far end of the log is gone: so is whoever wanted the program.
    poll = select.poll()
    poll.register(2, 0)
    poll.poll()
    end_all()


threading.Thread(target=end_when_nobody_listens, daemon=True).start()
if order["limit_s"] is not None:
    limit = threading.Timer(order["limit_s"], end_all)
    limit.daemon = True
    limit.start()
status = program.wait()
say({"exit": status} if status >= 0 else {"signal": -status})
