"""Programs that outlive the connection, where a disk is full or may not be written, or logging out ends them."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

from node.detached import keeper, orders
from node.detached.keeper import ends_at_logout
from node.detached.processes import BOOT, MARK, SPACE, Table, identity, lives, place
from node.detached.records import Refused, read_records, state

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


class Keepers(unittest.TestCase):
    """Keepers that are not as ours are."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def begin(self, *argv, **more):
        begun = subprocess.Popen(argv, **more)
        self.addCleanup(begun.wait)
        self.addCleanup(begun.kill)
        return begun

    def record(self, ident, kept_by):
        """Of a program that has not begun."""
        own = pathlib.Path(self.folder, ident)
        own.mkdir()
        whose = {"place": place(), "boot": BOOT, "space": SPACE, "keeper": identity(kept_by.pid), "program": None}
        record = {"id": ident, "labels": LABELS, "argv": ["x"], "started_ns": 1, **whose}
        (own / "record.json").write_text(json.dumps(record))
        (own / "log").write_text("said\n")
        (own / "running").touch()
        return record

    def marked(self, ident):
        return {**os.environ, MARK: json.dumps({"id": ident, "labels": LABELS})}

    def test_what_a_keeper_starts_only_later_is_ended_too(self):
        script = (
            "import subprocess, time; time.sleep(0.6); p = subprocess.Popen(['sleep', '60']); print(p.pid); p.wait()"
        )
        late = self.begin(sys.executable, "-uc", script, stdout=subprocess.PIPE)
        self.addCleanup(late.stdout.close)
        self.record("a", late)
        with mock.patch.object(orders, "KILL_S", 5):
            ended = orders.end(self.folder, {"id": "a", "grace_s": 0.2})
        self.assertEqual((list(ended["state"]), ended["killed"]), (["ended"], 1))
        self.assertFalse(lives(identity(int(late.stdout.readline()))))

    def test_what_ended_after_a_look_at_the_processes_is_not_left(self):
        record = self.record("a", self.begin("sleep", "60"))
        ends, stays = (self.begin("sleep", "60", env=self.marked("a")) for _ in range(2))
        record["program"] = identity(ends.pid)
        while len((table := Table()).of("a", {"a": record})) < 2:
            # Its mark is there once it has become another program.
            time.sleep(0.01)
        ends.kill()
        ends.wait()
        own = pathlib.Path(self.folder, "a")
        (own / "running").rename(own / "ended-signal-9-7")
        records, _ = read_records(self.folder)
        self.assertEqual(state({**records["a"], **record}, table, {"a": record})["ended"]["left"], 1)
        stays.kill()
        stays.wait()
        self.assertEqual(state({**records["a"], **record}, table, {"a": record})["ended"]["left"], 0)

    def test_a_keeper_that_does_not_start_its_program_is_no_success(self):
        stuck = self.begin("sleep", "60")
        self.record("a", stuck)
        with mock.patch.object(orders, "KILL_S", 0.2), self.assertRaises(Refused) as refused:
            orders.end(self.folder, {"id": "a", "grace_s": 0.1})
        self.assertEqual((refused.exception.what, refused.exception.more), ("stuck", {"pids": [stuck.pid]}))

    def test_a_start_that_takes_too_long_leaves_no_keeper(self):
        pid = os.path.join(self.folder, "pid")

        def keep(*_):
            pathlib.Path(pid).write_text(str(os.getpid()))
            time.sleep(60)

        order = {"id": "a", "watch_s": 0}
        with mock.patch.multiple(keeper, keep=keep, BEGIN_S=1), self.assertRaises(Refused) as refused:
            keeper.start(self.folder, order)
        self.assertEqual(str(refused.exception), "what keeps the program did not start it within 1 s")
        self.assertNotIn(int(pathlib.Path(pid).read_text()), Table().processes)
        os.remove(pid)
        with mock.patch.multiple(keeper, keep=lambda *_: None), self.assertRaises(Refused) as refused:
            keeper.start(self.folder, order)
        self.assertEqual(str(refused.exception), "what keeps the program has ended")
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_list_leaves_out_what_is_forgotten_meanwhile_and_keepers_of_others(self):
        kept = self.begin("sleep", "60", env=self.marked("outer"))
        self.record("inner", kept)
        asked = {"labels": LABELS}
        self.assertEqual([it["id"] for it in orders.list_programs(self.folder, asked)["programs"]], ["inner"])
        gone = {**self.record("gone", kept), "folder": os.path.join(self.folder, "nowhere")}
        with mock.patch.object(orders, "read_records", lambda _: ({"gone": gone}, [])):
            self.assertEqual(orders.list_programs(self.folder, asked)["programs"], [])

    def test_a_keeper_that_is_a_zombie_keeps_nothing(self):
        zombie = self.begin("true")
        self.record("a", zombie)
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        told = json.dumps({"op": "log", "records": self.folder, "id": "a", "lines": 1, "follow": True}).encode()
        command = [sys.executable, "-I", "-c", PROGRAM]
        said = subprocess.run(command, input=told, capture_output=True, timeout=20, check=True).stdout
        self.assertEqual(said, b'{"answer": {}}\nsaid\n')


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
