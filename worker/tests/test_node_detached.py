"""Programs that outlive the connection, where a disk is full or may not be written, or logging out ends them."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import unittest

from node.detached.keeper import ends_at_logout

FOLDER = pathlib.Path(__file__).parents[1] / "node/detached"
PROGRAM = "".join((FOLDER / f"{part}.py").read_text() for part in ("processes", "records", "keeper", "orders"))
LABELS = {"sparktune.project": "sparktune", "sparktune.owner": f"test-{os.getpid()}"}


def order(op, **more):
    """The line of a shell that gives the order to a folder `$DISK/programs`."""
    told = {"op": op, "records": "$DISK/programs", **more}
    line = f"printf '%s' {shlex.quote(json.dumps(told))} | sed \"s|[$]DISK|$DISK|\""
    return f'{line} | {sys.executable} -I -c "$PROGRAM"'


def start(ident, script):
    argv = ["sh", "-c", script]
    return order("start", id=ident, argv=argv, directory=None, set={}, unset=[], labels=LABELS, watch_s=0.2)


FILL = "dd if=/dev/zero of=$DISK/fill bs=1024 2>/dev/null || true"


def on_a_small_disk(*lines):
    """What the lines of a shell answer, on a disk of their own."""
    with tempfile.TemporaryDirectory() as disk:
        script = "\n".join(("set -e", 'mount -t tmpfs -o size=64k none "$DISK"', *lines))
        # Who is not root may be it in a namespace of users.
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *as_root, "--mount", "sh", "-c", script]
        environment = {**os.environ, "DISK": disk, "PROGRAM": PROGRAM}
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        if ended.returncode != 0:
            raise AssertionError(f"needs unshare, and leave to use it: {ended}")
        return [json.loads(line) for line in ended.stdout.splitlines()]


class Disks(unittest.TestCase):
    def test_where_there_is_no_room_nothing_is_started_and_nothing_is_left(self):
        failed, listed, left = on_a_small_disk(
            FILL, start("a", "sleep 60"), order("list", labels=LABELS), 'ls -A "$DISK/programs" | wc -l'
        )
        self.assertEqual(failed["failed"]["what"], "full")
        self.assertIn("record.json", failed["failed"]["path"])
        self.assertEqual(listed["answer"]["programs"], [])
        self.assertEqual(left, 0)

    def test_an_end_is_noted_on_a_full_disk(self):
        began, listed = on_a_small_disk(start("a", "sleep 1; exit 5"), FILL, "sleep 1.5", order("list", labels=LABELS))
        self.assertIn("running", began["answer"])
        ended = listed["answer"]["programs"][0]["state"]["ended"]
        self.assertEqual((ended["how"], ended["left"]), ({"exit": 5}, 0))

    def test_a_disk_that_may_only_be_read_is_named(self):
        failed, *_ = on_a_small_disk('mount -o remount,ro "$DISK"', start("a", "sleep 60"))
        self.assertEqual(failed["failed"]["what"], "denied")
        self.assertTrue(failed["failed"]["path"].endswith("/programs"), failed)


class Homes(unittest.TestCase):
    def ask(self, environment):
        told = json.dumps({"op": "list", "records": None, "labels": LABELS}).encode()
        command = [sys.executable, "-I", "-c", PROGRAM]
        path = {"PATH": os.environ["PATH"]}
        ended = subprocess.run(command, input=told, env={**path, **environment}, capture_output=True, check=True)
        return json.loads(ended.stdout)

    def test_the_state_folder_of_the_user_is_where_records_lie(self):
        for environment, folder in (
            ({"HOME": "/nowhere"}, "/nowhere/.local/state"),
            ({"HOME": "/nowhere", "XDG_STATE_HOME": "/state"}, "/state"),
            # No place, by the specification of these folders.
            ({"HOME": "/nowhere", "XDG_STATE_HOME": "state"}, "/nowhere/.local/state"),
        ):
            answer = self.ask(environment)["answer"]
            self.assertEqual(answer, {"folder": folder + "/sparktune/programs", "programs": [], "damaged": []})


class Logout(unittest.TestCase):
    SESSION = "0::/user.slice/user-1000.slice/session-5.scope\n"

    def test_it_ends_what_a_session_left_only_where_it_is_told_to(self):
        kill = "KillUserProcesses=yes\n"
        for cgroups, properties, user, ends in (
            (self.SESSION, kill, "ann", True),
            ("1:name=systemd:/user.slice/user-1000.slice/session-c2.scope\n", kill, "ann", True),
            (self.SESSION, "KillUserProcesses=no\n", "ann", False),
            (self.SESSION, kill, "root", False),
            (self.SESSION, kill + "KillExcludeUsers=root ann\n", "ann", False),
            (self.SESSION, "KillUserProcesses=no\nKillOnlyUsers=ann\n", "ann", True),
            (self.SESSION, kill + "KillOnlyUsers=bob\n", "ann", False),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice\n", kill, "ann", False),
            ("0::/system.slice/ssh.service\n", kill, "ann", False),
            (self.SESSION, "", "ann", False),
        ):
            self.assertEqual(ends_at_logout(cgroups, properties, user), ends, (cgroups, properties, user))


if __name__ == "__main__":
    unittest.main()
