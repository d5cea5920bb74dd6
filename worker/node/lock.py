"""Hold the right to start and stop models of a cluster, for as long as whoever asked for it lives; or say who has it.

Input: one line of JSON {"name": the cluster's, "who": words for those who come second, "peek": only say who has it,
"leash_s"}, then, while the right is held, a byte now and then: whoever is silent for the leash is gone.
Output: one line of JSON, {"held_by": null} for who has it now, or could have it, else {"held_by": words}.

The lock is the kernel's, on a file of this machine, and ends with this process. Standard library only, Linux, Python 3.8 or
newer.
"""

import fcntl
import hashlib
import json
import os
import select
import sys
import tempfile

MOST_WORDS = 200

order = json.loads(sys.stdin.readline())
# A name may be anything, and users must meet in one file.
digest = hashlib.sha256(order["name"].encode()).hexdigest()[:16]
path = os.path.join(tempfile.gettempdir(), "sparktune-serve-{}.lock".format(digest))


def say(holder):
    sys.stdout.write(json.dumps({"held_by": holder}) + "\n")
    sys.stdout.flush()


def opened():
    """Everybody may lock what anybody made. No link of somebody's is followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(path, flags, 0o666)
    except PermissionError:
        # In a sticky folder the kernel may refuse O_CREAT on another user's file (fs.protected_regular).
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    if os.fstat(file).st_uid == os.geteuid():
        os.fchmod(file, 0o666)
    return file


file = opened()
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    say(os.pread(file, MOST_WORDS, 0).decode("utf-8", "replace") or "somebody")
    sys.exit()
if order["peek"]:
    say(None)
    sys.exit()
os.ftruncate(file, 0)
os.pwrite(file, order["who"].encode()[:MOST_WORDS], 0)
say(None)
while True:
    # What was read ahead is not asked for: nothing but these bytes comes.
    if not select.select([0], [], [], order["leash_s"])[0] or not os.read(0, 4096):
        break
