"""The look-alikes do as their first lines say: on the loopback, spoken to by HTTP.

`tests/look_alike_engines.rs` runs this; by hand: `python3 -m unittest discover tests/look_alike`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
# Far beyond what anything takes, so that a hang fails and a slow machine does not.
PATIENCE_S = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Started:
    """A process of a look-alike, its output in a file."""

    def __init__(self, test, argv, **variables):
        self.log = tempfile.NamedTemporaryFile()
        told = {"PYTHONPATH": HERE, "LOOK_ALIKE_LOAD_S": "0.2", **variables}
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            argv, env={**kept, **told}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
        )
        test.addCleanup(self.close)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def said(self):
        with open(self.log.name, encoding="utf-8", newline="") as file:
            return file.read()

    def ends(self):
        return self.process.wait(PATIENCE_S)


def until(what, holds):
    begin = time.monotonic()
    while not holds():
        if time.monotonic() - begin > PATIENCE_S:
            raise AssertionError(f"it never came: {what}")
        time.sleep(0.02)


def ask(port, path, body=None):
    """(status, what it says); (None, None) where nobody listens or answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return None, None


class LookAlike(unittest.TestCase):
    def sglang(self, *arguments, **variables):
        return Started(self, [sys.executable, "-m", "sglang.launch_server", *arguments], **variables)

    def vllm(self, *arguments, **variables):
        return Started(self, [os.path.join(HERE, "bin/vllm"), "serve", *arguments], **variables)

    def well(self, port):
        until("a healthy server", lambda: ask(port, "/health")[0] == 200)

    def follows_order(self, said, lines):
        at = -1
        for line in lines:
            self.assertIn(line, said)
            self.assertGreater(said.index(line), at, f"`{line}` comes too early in: {said}")
            at = said.index(line)


class OfSglang(LookAlike):
    def model(self, port, *arguments, **variables):
        return self.sglang("--model-path", "org/model", "--port", str(port), *arguments, **variables)

    def ranks(self, count, port, *arguments, **variables):
        """Rank 0 last."""
        meet = f"127.0.0.1:{free_port()}"
        self.ports = [port] + [free_port() for _ in range(1, count)]
        split = ["--tp-size", str(count), "--nnodes", str(count), "--dist-init-addr", meet]
        started = {}
        for rank in reversed(range(count)):
            own = ["--node-rank", str(rank)]
            started[rank] = self.model(self.ports[rank], *split, *own, *arguments, **variables)
        return [started[rank] for rank in range(count)]

    def test_a_node_says_what_a_server_says_and_answers(self):
        port = free_port()
        server = self.model(port, "--served-model-name", "m")
        seen = []
        until("a healthy server", lambda: seen.append(ask(port, "/health")[0]) or seen[-1] == 200)
        # Nobody listens, then it is not well yet, then it is.
        self.assertEqual(sorted(set(map(str, seen)), key=seen_order), ["None", "503", "200"])
        self.assertEqual(json.loads(ask(port, "/v1/models")[1])["data"][0]["id"], "m")
        for path, body in (
            ("/v1/completions", {"model": "m", "prompt": "a"}),
            ("/v1/chat/completions", {"model": "m", "messages": []}),
        ):
            status, said = ask(port, path, body)
            self.assertEqual((status, len(json.loads(said)["choices"])), (200, 1))
        until("the last line", lambda: "ready to roll" in server.said())
        self.follows_order(
            server.said(),
            [
                "Init parallel begin.",
                "Load weight begin. avail mem=",
                "\rLoading safetensors checkpoint shards:   0% Completed | 0/4 [00:00<?, ?it/s]\n",
                "\rLoading safetensors checkpoint shards:  50% Completed | 2/4 [",
                "Load weight end.",
                "KV Cache is allocated.",
                "CUDA graph begin.",
                "max_total_num_tokens=",
                f"Uvicorn running on http://127.0.0.1:{port} (Press CTRL+C to quit)",
                "The server is fired up and ready to roll!",
            ],
        )
        server.process.terminate()
        self.assertEqual(server.ends(), 0)

    def test_the_old_release_has_its_own_words_and_options(self):
        server = self.model(free_port(), LOOK_ALIKE_RELEASE="0.5.4.post2")
        until("the last line", lambda: "ready to roll" in server.said())
        self.follows_order(server.said(), ["Init torch distributed begin.", "Capture cuda graph begin. This can take"])
        newer = self.model(free_port(), "--gated-launch-port", "9", LOOK_ALIKE_RELEASE="0.5.4.post2")
        self.assertEqual(newer.ends(), 2)
        self.assertIn("launch_server.py: error: unrecognized arguments: --gated-launch-port 9", newer.said())

    def test_what_it_does_not_understand_ends_it_as_argparse_does(self):
        for arguments, words in (
            (["--model-path", "m", "--pp", "2"], "ambiguous option: --pp could match"),
            (["--model-path", "m", "--kv-cache-dtype", "fp8"], "argument --kv-cache-dtype: invalid choice: 'fp8'"),
            (["--port", "1"], "the following arguments are required: --model-path"),
        ):
            ended = self.sglang(*arguments)
            self.assertEqual(ended.ends(), 2)
            self.assertIn(words, ended.said())

    def test_ranks_wait_for_the_head_and_the_head_for_all_of_them(self):
        port = free_port()
        head, *others = self.ranks(3, port)
        self.well(port)
        for rank, started in enumerate([head, *others]):
            self.assertIn(f" TP{rank}] Load weight begin.", started.said())
            self.assertEqual(ask(self.ports[rank], "/health")[0], 200)
        self.assertEqual(ask(self.ports[1], "/v1/models")[0], 404)
        self.assertNotIn("Loading safetensors", others[0].said())
        # A rank takes no notice of SIGTERM; the head ends them all.
        others[0].process.terminate()
        until("its words", lambda: "SIGTERM received on node_rank 1; waiting for the rank-0" in others[0].said())
        head.process.terminate()
        self.assertEqual([started.ends() for started in [head, *others]], [0, 0, 0])

    def test_ranks_end_a_moment_after_a_head_that_is_killed(self):
        port = free_port()
        head, other = self.ranks(2, port)
        self.well(port)
        head.process.kill()
        self.assertEqual(other.ends(), 1)
        self.assertIn("Connection closed by peer", other.said())

    def test_a_rank_of_the_old_release_ends_by_sigterm(self):
        port = free_port()
        _, other = self.ranks(2, port, LOOK_ALIKE_RELEASE="0.5.4.post2")
        self.well(port)
        other.process.terminate()
        self.assertEqual(other.ends(), -signal.SIGTERM)

    def test_a_rank_that_dies_while_loading_says_why_and_nobody_notices(self):
        port = free_port()
        head, other = self.ranks(2, port, LOOK_ALIKE_FAULT="die-loading@1", LOOK_ALIKE_LAST_WORDS="Bad: luck")
        self.assertEqual(other.ends(), 1)
        self.assertIn("TP1] Scheduler hit an exception: Traceback", other.said())
        self.assertIn("\nBad: luck\n", other.said())
        time.sleep(0.5)
        self.assertIsNone(head.process.poll())
        self.assertEqual(ask(port, "/health")[0], None)

    def test_what_hangs_goes_on_hanging(self):
        for fault, last in (("hang-distributed", "Init parallel begin."), ("hang-weights", "Load weight begin.")):
            port = free_port()
            server = self.model(port, LOOK_ALIKE_FAULT=fault)
            until(last, lambda last=last, server=server: last in server.said())
            time.sleep(0.5)
            self.assertIsNone(server.process.poll())
            self.assertIn(last, server.said().splitlines()[-1])

    def test_a_server_can_die_later_be_unwell_say_another_name_or_answer_nobody(self):
        port = free_port()
        dies = self.model(port, LOOK_ALIKE_FAULT="die-later", LOOK_ALIKE_DIE_S="0.2")
        self.assertEqual(dies.ends(), 1)
        self.assertIn("ready to roll", dies.said())

        ports = {fault: free_port() for fault in ("unhealthy", "other-model", "no-answer")}
        for fault, port in ports.items():
            until("the last line", lambda server=self.model(port, LOOK_ALIKE_FAULT=fault): "roll!" in server.said())
        self.assertEqual(ask(ports["unhealthy"], "/health")[0], 503)
        self.assertIn(b"another-model", ask(ports["other-model"], "/v1/models")[1])
        self.assertEqual(ask(ports["no-answer"], "/health")[0], 200)
        self.assertEqual(ask(ports["no-answer"], "/v1/completions", {}), (None, None))

    def test_one_that_ignores_sigterm_is_killed(self):
        server = self.model(free_port(), LOOK_ALIKE_FAULT="ignore-term")
        until("the last line", lambda: "roll!" in server.said())
        server.process.terminate()
        time.sleep(0.3)
        self.assertIsNone(server.process.poll())

    def test_a_port_that_is_taken_is_said_as_uvicorn_does(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server = self.model(taken.getsockname()[1])
            self.assertEqual(server.ends(), 1)
        self.assertIn("[Errno 98] error while attempting to bind on address", server.said())

    def test_what_is_loaded_of_config_files_is_said(self):
        with tempfile.NamedTemporaryFile() as file:
            found = self.model(free_port(), LOOK_ALIKE_MOE_CONFIG=file.name)
            until("the look-up", lambda: f"Using MoE kernel config from {file.name}." in found.said())
        missing = self.model(free_port(), LOOK_ALIKE_MOE_CONFIG="/nowhere/E=8.json")
        until("the look-up", lambda: "Config file not found at /nowhere/E=8.json, you can" in missing.said())

    def test_a_fault_or_a_release_that_there_is_not_is_refused(self):
        for name, value in (("FAULT", "dies"), ("RELEASE", "9"), ("FAULT", "die-later@x")):
            variable = f"LOOK_ALIKE_{name}"
            ended = self.model(free_port(), **{variable: value})
            self.assertEqual(ended.ends(), 1)
            self.assertIn(variable, ended.said())

    def test_without_ray_what_needs_it_says_so(self):
        ended = self.model(free_port(), "--use-ray", "--nnodes", "2", "--tp-size", "2")
        self.assertEqual(ended.ends(), 1)
        self.assertIn("Ray is required for --use-ray mode.", ended.said())


def seen_order(status):
    return ["None", "503", "200"].index(status)


class OfVllm(LookAlike):
    def test_a_node_says_what_a_server_says_and_answers(self):
        port = free_port()
        server = self.vllm("org/model", "--host", "127.0.0.1", "--port", str(port), "--served_model_name", "m")
        self.well(port)
        self.assertEqual(json.loads(ask(port, "/v1/models")[1])["data"][0]["id"], "m")
        self.assertEqual(ask(port, "/v1/completions", {"prompt": "a"})[0], 200)
        until("the last line", lambda: "Application startup complete." in server.said())
        self.follows_order(
            server.said(),
            [
                "serving model org/model",
                "Starting to load model org/model...",
                "Loading safetensors checkpoint shards: 100% Completed | 4/4",
                "Loading weights took",
                "Model loading took",
                "Available KV cache memory:",
                "init engine (profile, create kv cache, warmup model) took",
                f"Starting vLLM server on http://127.0.0.1:{port}",
            ],
        )
        server.process.terminate()
        self.assertEqual(server.ends(), 0)

    def test_headless_ranks_open_no_port_and_end_with_the_head(self):
        port, meet = free_port(), str(free_port())
        split = ["--tensor-parallel-size", "2", "--nnodes", "2", "--master-addr", "127.0.0.1", "--master-port", meet]
        split += ["--distributed-executor-backend", "mp"]
        other = self.vllm("m", *split, "--node-rank", "1", "--headless", "--port", str(free_port()))
        head = self.vllm("m", *split, "--node-rank", "0", "--port", str(port))
        self.well(port)
        self.assertIn("headless multiproc executor, with head node address 127.0.0.1:" + meet, other.said())
        head.process.terminate()
        self.assertEqual((head.ends(), other.ends()), (0, 0))

    def test_what_it_does_not_understand_ends_it_as_argparse_does(self):
        ended = self.vllm("m", "--tool-call-parsr", "x")
        self.assertEqual(ended.ends(), 2)
        self.assertIn("vllm serve: error: unrecognized arguments: --tool-call-parsr", ended.said())

    def test_more_gpus_than_a_node_has_need_others(self):
        for backend, words in (
            (["--distributed-executor-backend", "ray"], "Failed to import Ray: "),
            ([], "World size (2) is larger than the number of available GPUs (1) in this node."),
        ):
            ended = self.vllm("m", "--tensor-parallel-size", "2", *backend)
            self.assertEqual(ended.ends(), 1)
            self.assertIn(words, ended.said())

    def test_a_worker_that_dies_says_why(self):
        ended = self.vllm("m", LOOK_ALIKE_FAULT="die-loading")
        self.assertEqual(ended.ends(), 1)
        self.assertIn("\ntorch.OutOfMemoryError: CUDA out of memory.", ended.said())
        self.assertIn("Engine core initialization failed.", ended.said())


class WithTheMock(LookAlike):
    """What SPARKBENCH names answers; `tests/look_alike_engines.rs` names it."""

    @unittest.skipUnless("SPARKBENCH" in os.environ, "SPARKBENCH names no program")
    def test_the_projects_mock_answers_and_ends_with_its_parent(self):
        port = free_port()
        model = ["--model-path", "m", "--port", str(port)]
        server = self.sglang(*model, LOOK_ALIKE_SERVER=os.environ["SPARKBENCH"])
        self.well(port)
        self.assertEqual(json.loads(ask(port, "/v1/models")[1])["data"][0]["id"], "m")
        self.assertEqual(ask(port, "/mock/truth")[0], 200)
        server.process.kill()
        until("an end of the mock", lambda: ask(port, "/health")[0] is None)


if __name__ == "__main__":
    unittest.main()
