"""A look-alike of `vllm serve`: the words, the waiting and the ends of vLLM's, and no model.

Read in the wheel of 0.33.0: `entrypoints/cli/serve.py`, `entrypoints/launchers/api_server/entry.py`,
`v1/engine/core.py`, `v1/executor/{multiproc_executor,ray_utils}.py`, `v1/worker/gpu_model_runner.py`.
"""

import os
import signal
import sys
import threading
import time

from look_alike import DIE_S, LOAD_S, answers, bars, faults, options, ranks

from ...version import __version__


class Engine:
    """One node's process: a rank with one GPU."""

    def __init__(self, release, args, model):
        self.release, self.args = release, args
        self.rank, self.nodes = int(args.node_rank or 0), int(args.nnodes or 1)
        self.gpus = int(args.tensor_parallel_size or 1) * int(args.pipeline_parallel_size or 1)
        self.fault = faults.fault_of(self.rank)
        self.model = (args.served_model_name or [model])[0]
        self.path = model
        self.host, self.port = args.host or "0.0.0.0", int(args.port or 8000)
        self.head = self.follower = None

    def say(self, process, file, text, level="INFO"):
        now = time.strftime("%m-%d %H:%M:%S")
        sys.stderr.write(f"({process} pid={os.getpid()}) {level} {now} [{file}] {text}\n")
        sys.stderr.flush()

    def say_worker(self, file, text, level="INFO"):
        self.say(f"Worker_TP{self.rank}" if self.gpus > 1 else "EngineCore", file, text, level)

    def die(self):
        trace = f"WorkerProc hit an exception.\nTraceback (most recent call last):\n{faults.last_words()}"
        self.say_worker("multiproc_executor.py:1189", trace, "ERROR")
        if self.rank == 0:
            failed = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
            sys.stderr.write(f"{failed}\n")
        faults.end(1)

    def meet(self):
        """The other ranks, where there are any."""
        address = (self.args.master_addr or "127.0.0.1", int(self.args.master_port or 29501))
        if self.rank:
            self.say(
                "MainProcess",
                "serve.py:224",
                f"Launching vLLM (v{self.release}) headless multiproc executor, with head node address "
                f"{address[0]}:{address[1]} for torch.distributed process group.",
            )
        elif self.nodes > 1:
            self.say(
                "EngineCore",
                "multiproc_executor.py:166",
                f"DP group leader: node_rank=0, node_rank_within_dp=0, master_addr={address[0]}, "
                f"mq_connect_ip={address[0]} (local), world_size={self.gpus}, local_world_size=1",
            )
        if self.fault == "hang-distributed":
            faults.hang()
        if self.nodes == 1:
            return
        if self.rank == 0:
            try:
                self.head = ranks.Head(address[1])
            except OSError:
                sys.exit(ranks.taken(address[1]))
            self.head.gather(self.nodes - 1)
        else:
            self.follower = ranks.Follower(address, self.rank)
            if not self.follower.await_go():
                self.lost()
            if self.fault != "ignore-term":
                self.follower.watch(lambda told: faults.end(0) if told else self.lost())

    def lost(self):
        """Rank 0 is gone."""
        lost = "RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer"
        self.say_worker("multiproc_executor.py:1063", f"WorkerProc failed.\n{lost}", "ERROR")
        faults.end(1)

    def load(self):
        if self.rank == 0:
            self.say_worker("gpu_model_runner.py:4978", f"Starting to load model {self.path}...")
        if self.fault == "hang-weights":
            faults.hang()
        midway = self.die if self.fault == "die-loading" else None
        bars.load_shards(LOAD_S * 0.6, self.rank == 0, midway)
        self.say_worker("default_loader.py:507", f"Loading weights took {LOAD_S * 0.6:.2f} seconds")
        took = f"Model loading took 57.41 GiB memory and {LOAD_S * 0.6:.6f} seconds"
        self.say_worker("gpu_model_runner.py:5088", took)
        self.look_up()
        self.say_worker("gpu_worker.py:772", "Available KV cache memory: 31.52 GiB")
        time.sleep(LOAD_S * 0.4)
        took = f"Graph capturing finished in {LOAD_S * 0.4:.0f} secs, took 0.52 GiB"
        self.say_worker("gpu_model_runner.py:6516", took)

    def look_up(self):
        path = os.environ.get("LOOK_ALIKE_MOE_CONFIG")
        if path and os.path.exists(path):
            self.say_worker("fused_moe.py:1152", f"Using configuration from {path} for MoE layer.")
        elif path:
            default = "Using default MoE config. Performance might be sub-optimal! Config file not found at"
            self.say_worker("fused_moe.py:1163", f"{default} {path}", "WARNING")

    def follow(self):
        """A headless rank answers nobody; rank 0 has it end."""
        self.follower.say("loaded")
        self.stay()

    def serve(self):
        """Rank 0 answers clients."""
        if self.head:
            self.head.await_loaded()
        cache = "GPU KV cache size: 65,536 tokens, Maximum concurrency for 32,768 tokens per request: 2.00x"
        self.say("EngineCore", "kv_cache_utils.py:1146", cache)
        took = f"init engine (profile, create kv cache, warmup model) took {LOAD_S:.2f} s"
        self.say("EngineCore", "core.py:412", took)
        where = f"http://{self.host}:{self.port}"
        self.say("APIServer", "entry.py:139", f"Starting vLLM server on {where}")

        def listens():
            started = f"(APIServer pid={os.getpid()}) INFO:     "
            for text in ("Started server process [1]", "Waiting for application startup."):
                sys.stderr.write(f"{started}{text}\n")
            sys.stderr.write(f"{started}Application startup complete.\n")
            sys.stderr.flush()

        try:
            end = answers.serve(self.host, self.port, self.model, self.fault, 0, listens)
        except OSError as error:
            sys.stderr.write(f"OSError: [Errno {error.errno}] Address already in use\n")
            faults.end(1)

        def stop(*_):
            end()
            if self.head:
                self.head.tell("stop")
            faults.end(0)

        if self.fault != "ignore-term":
            signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stay()

    def stay(self):
        if self.fault == "die-later":
            threading.Timer(DIE_S, self.die).start()
        faults.hang()


def gather_on_ray(engine):
    try:
        import ray
    except ImportError as error:
        sys.exit(f"ValueError: Failed to import Ray: {error}.Please install Ray with `pip install ray`.")
    from look_alike import on_ray

    def say(text):
        engine.say("EngineCore", "ray_utils.py:500", text)

    on_ray.connect(ray, say)
    engine.kept = on_ray.start_actors(ray, engine.gpus)


def main():
    release = options.release_of("vllm", __version__)
    if sys.argv[1:2] != ["serve"]:
        sys.exit("usage: vllm serve [model_tag] [options]: the look-alike has no other command")
    parser = options.parser("vllm", release, "vllm serve", options.Flexible)
    args = parser.parse_args(sys.argv[2:])
    engine = Engine(release, args, args.model_tag or args.model or "Qwen/Qwen3-0.6B")
    engine.say("APIServer", "startup.py:20", f"vLLM server version {release}, serving model {engine.path}")
    if args.distributed_executor_backend == "ray":
        if engine.nodes > 1:
            sys.exit(
                "ValueError: nnodes > 1 can only be set when distributed executor backend is mp, uni or "
                "external_launcher."
            )
        gather_on_ray(engine)
    elif engine.gpus > engine.nodes:
        sys.exit(
            f"ValueError: World size ({engine.gpus}) is larger than the number of available GPUs (1) in this node. If "
            "this is intentional and you are using:\n- ray, set '--distributed-executor-backend ray'.\n"
            "- multiprocessing, set '--nnodes' appropriately."
        )
    else:
        engine.meet()
        engine.load()
    if args.headless or engine.rank:
        engine.follow()
    else:
        engine.serve()


if __name__ == "__main__":
    main()
