"""What a node tells the doctor."""

import os
import pwd
import socket
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from node import doctor as node_doctor


def ordered(**order):
    usual = {"ports": [], "folders": [], "gpu_programs": False, "pings": []}
    return node_doctor.answer({**usual, **order})


class Listening(unittest.TestCase):
    def test_a_port_that_somebody_listens_on_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as here:
            port = here.getsockname()[1]
            self.assertEqual(ordered(ports=[port])["taken"], [port])
            with socket.create_connection(("127.0.0.1", port)) as client:
                # A connection's own port is nobody's to listen on.
                self.assertEqual(ordered(ports=[client.getsockname()[1]])["taken"], [])
        self.assertEqual(ordered(ports=[port])["taken"], [])

    def test_a_table_that_is_odd_or_not_there_has_no_listeners(self):
        with tempfile.NamedTemporaryFile("w") as table:
            table.write("head\n\nx\n 0: nonsense 0:0 0A\n")
            table.flush()
            self.assertEqual(node_doctor.listening(table.name), set())
        self.assertEqual(node_doctor.listening("/no/such/table"), set())


class Gpus(unittest.TestCase):
    def said(self, script):
        """What is answered where nvidia-smi is this script; where it is None, there is none."""
        with tempfile.TemporaryDirectory() as tools:
            if script is not None:
                Path(tools, "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
                Path(tools, "nvidia-smi").chmod(0o755)
            with mock.patch.dict(os.environ, PATH=f"{tools}:/nowhere"):
                answer = ordered(gpu_programs=True)
        return answer["gpu_programs"], answer["owners"]

    def test_programs_are_told_with_their_owners(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        line = f"{os.getpid()}, 19135, /usr/bin/python3\n"
        self.assertEqual(self.said(f"echo '{line.strip()}'"), (line, {str(os.getpid()): user}))
        # Of one that has ended nobody knows whose it was.
        self.assertEqual(self.said("echo '4194304999, 1, gone'"), ("4194304999, 1, gone\n", {}))
        self.assertEqual(self.said("echo 'No running processes found'")[1], {})

    def test_without_a_word_of_nvidia_smi_nothing_is_known(self):
        self.assertEqual(self.said(None), (None, {}))
        self.assertEqual(self.said("echo 1, 2, x; exit 9"), (None, {}))
        with mock.patch.object(node_doctor, "GPU_S", 0.2):
            self.assertEqual(self.said("read forever < /dev/zero"), (None, {}))
        self.assertIsNone(ordered()["gpu_programs"])


class Folders(unittest.TestCase):
    def test_only_what_is_there_and_somebody_elses_is_told(self):
        with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, HOME=home):
            Path(home, "mine").mkdir()
            self.assertEqual(ordered(folders=["~/mine", "~/nowhere"])["foreign"], {})
            with mock.patch("os.getuid", return_value=os.getuid() + 1):
                self.assertEqual(ordered(folders=["~/mine", "~/nowhere"])["foreign"], {"~/mine": os.getuid() - 1})

    def test_a_ray_token(self):
        with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, HOME=home):
            self.assertFalse(ordered()["ray_token"])
            Path(home, ".ray").mkdir()
            Path(home, ".ray", "auth_token").touch()
            self.assertTrue(ordered()["ray_token"])


class Pings(unittest.TestCase):
    def pinged(self, program, pings):
        with tempfile.TemporaryDirectory() as folder:
            if program is not None:
                path = Path(folder, "ping")
                path.write_text("#!/bin/sh\n" + program)
                path.chmod(0o755)
            with mock.patch.dict(os.environ, PATH=folder + ":/usr/bin:/bin" if program else folder):
                return ordered(pings=[["10.0.0.1", *ping] if len(ping) == 2 else ping for ping in pings])["pings"]

    def test_the_outcomes_are_in_order_and_the_bytes_those_of_the_mtu(self):
        words = 'case "$*" in *"-M do -s 8972"*"-I 10.0.0.1 10.0.0.2") exit 0;; *) exit 1;; esac'
        pings = [["10.0.0.2", 9000], ["10.0.0.3", 9000], ["10.0.0.2", 1500]]
        self.assertEqual(self.pinged(words, pings), [True, False, False])

    def test_each_has_an_address_of_its_own_and_headers_of_ipv6_are_longer(self):
        words = 'case "$*" in *"-M do -s 8952"*"-I fd00::1 fd00::2") exit 0;; *) exit 1;; esac'
        pings = [["fd00::1", "fd00::2", 9000], ["fd00::7", "fd00::2", 9000]]
        self.assertEqual(self.pinged(words, pings), [True, False])

    def test_why_nobody_can_tell(self):
        [said] = self.pinged(None, [["10.0.0.2", 1500]])
        self.assertIn("no `ping`", said)
        [said] = self.pinged("echo ping: socktype: SOCK_RAW >&2; exit 2", [["10.0.0.2", 1500]])
        self.assertEqual(said, "ping: socktype: SOCK_RAW")
        for no_way in ("local error: message too long, mtu=1500", "connect: Network is unreachable", "No route to host"):
            self.assertEqual(self.pinged(f"echo '{no_way}' >&2; exit 2", [["10.0.0.2", 9000]]), [False])

    def test_pings_that_hang_end_together(self):
        begun = time.monotonic()
        with mock.patch.object(node_doctor, "ONE_S", 0.3):
            outcomes = self.pinged("exec sleep 20", [["10.0.0.2", 1500]] * 8)
        self.assertEqual(outcomes, [False] * 8)
        self.assertLess(time.monotonic() - begun, 10)


if __name__ == "__main__":
    unittest.main()
