"""A look-alike of `python3 -m sglang.launch_server`: the words, the waiting and the ends of SGLang's, and no model.

Read in the wheels of 0.5.4.post2 and 0.5.23: `entrypoints/{engine,http_server}.py`, `model_executor/model_runner.py`,
`managers/scheduler.py`, `distributed/bootstrap.py`, `mem_cache/memory_pool.py`, `fused_moe_triton_config.py`.
"""

import os
import signal
import sys
import threading
import time

from look_alike import DIE_S, LOAD_S, answers, bars, faults, options, ranks

from .version import __version__

# Between listening and being well a real one generates a token.
WARM_UP_S = 0.3
# The release with the older words, whose ranks end by SIGTERM.
OLD = "0.5.4.post2"


class Engine:
    """One node's process: a rank with one GPU."""

    def __init__(self, release, args):
        self.old, self.args = release == OLD, args
        self.rank, self.nodes = int(args.node_rank or 0), int(args.nnodes or 1)
        self.tp, self.pp = int(args.tp_size or 1), int(args.pp_size or 1)
        self.fault = faults.fault_of(self.rank)
        self.model = args.served_model_name or args.model_path
        self.host, self.port = args.host or "127.0.0.1", int(args.port or 30000)
        self.head = self.follower = None

    def stamp(self):
        """`[2026-11-30 12:00:00 TP1] `"""
        group = max(self.nodes // self.pp, 1)
        kinds = [("TP", self.tp, self.rank % group), ("PP", self.pp, self.rank // group)]
        names = "".join(f" {kind}{number}" for kind, size, number in kinds if size > 1)
        return f"[{time.strftime('%Y-%m-%d %H:%M:%S')}{names}] "

    def say(self, text, of_rank=True):
        stamp = self.stamp() if of_rank else f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] "
        sys.stderr.write(f"{stamp}{text}\n")
        sys.stderr.flush()

    def die(self):
        frame = '  File "/opt/sglang/srt/managers/scheduler.py", line 2830, in run_scheduler_process'
        trace = f"Traceback (most recent call last):\n{frame}\n{faults.last_words()}\n"
        self.say(f"Scheduler hit an exception: {trace}")
        self.say("Received sigquit from a child process. It usually means the child failed.", of_rank=False)
        faults.end(1)

    def meet(self):
        """The other ranks, where there are any."""
        begin, end = ("Init torch distributed begin.", "Init torch distributed ends. mem usage=0.04 GB")
        if not self.old:
            begin, end = ("Init parallel begin.", "Init parallel ends. elapsed=0.04 s")
        self.say(begin)
        if self.fault == "hang-distributed":
            faults.hang()
        if self.nodes > 1:
            address = ranks.split_address(self.args.dist_init_addr)
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
        self.say(end)

    def lost(self):
        """Rank 0 is gone."""
        address = self.args.dist_init_addr
        self.say(f"RuntimeError: [gloo/transport/tcp/pair.cc:547] Connection closed by peer [{address}]")
        faults.end(1)

    def load(self):
        self.say("Load weight begin. avail mem=113.02 GB")
        if self.fault == "hang-weights":
            faults.hang()
        midway = self.die if self.fault == "die-loading" else None
        bars.load_shards(LOAD_S * 0.6, self.rank == 0, midway)
        kind = "dtype=torch.bfloat16" if self.old else f"elapsed={LOAD_S * 0.6:.2f} s"
        self.say(f"Load weight end. {kind}, type=LookAlike, avail mem=29.61 GB, mem usage=83.41 GB.")
        dtype = "" if self.old else " dtype: torch.bfloat16,"
        self.say(f"KV Cache is allocated.{dtype} #tokens: 65536, K size: 5.75 GB, V size: 5.75 GB")
        self.say("Memory pool end. avail mem=17.52 GB")
        begin = "Capture cuda graph begin. This can take up to several minutes. avail mem=16.99 GB"
        end = f"Capture cuda graph end. Time elapsed: {LOAD_S * 0.4:.2f} s. mem usage=0.52 GB. avail mem=16.47 GB."
        if not self.old:
            begin = "Capture target decode CUDA graph begin. backend=full, num_tokens_per_req=1, avail mem=16.99 GB"
            end = (
                f"Capture target decode CUDA graph end. bs=[1, 2, 4, 8], elapsed={LOAD_S * 0.4:.2f} s, "
                "mem usage=0.52 GB, avail mem=16.47 GB."
            )
        self.say(begin)
        self.look_up()
        time.sleep(LOAD_S * 0.4)
        self.say(end)

    def look_up(self):
        path = os.environ.get("LOOK_ALIKE_MOE_CONFIG")
        if path and os.path.exists(path):
            self.say(f"Using MoE kernel config from {path}.")
        elif path:
            self.say(
                f"Using default MoE kernel config. Performance might be sub-optimal! Config file not found at {path}, "
                "you can create them with "
                "https://github.com/sgl-project/sglang/tree/main/benchmark/kernels/fused_moe_triton"
            )

    def follow(self):
        """A rank that has loaded stays until rank 0 has it end."""
        if not self.old and self.fault != "ignore-term":
            waits = "waiting for the rank-0 ShutdownReq broadcast to stop the schedulers."
            said = f"SIGTERM received on node_rank {self.rank}; {waits}"
            signal.signal(signal.SIGTERM, lambda *_: self.say(said, of_rank=False))
        self.follower.say("loaded")
        server = answers.Server(self.host, self.port, None)
        server.warm = True
        server.start()
        self.stay()

    def serve(self):
        """Rank 0 answers clients."""
        if self.head:
            self.head.await_loaded()
        self.say(
            "max_total_num_tokens=65536, chunked_prefill_size=8192, max_prefill_tokens=16384, "
            "max_running_requests=2048, context_len=32768, available_gpu_mem=16.47 GB"
        )
        self.say("INFO:     Started server process [1]", of_rank=False)
        self.say("INFO:     Waiting for application startup.", of_rank=False)
        self.say("INFO:     Application startup complete.", of_rank=False)
        running = f"INFO:     Uvicorn running on http://{self.host}:{self.port} (Press CTRL+C to quit)"
        try:
            end = answers.serve(
                self.host, self.port, self.model, self.fault, WARM_UP_S, lambda: self.say(running, of_rank=False)
            )
        except OSError as error:
            address = f"('{self.host}', {self.port})"
            trouble = f"error while attempting to bind on address {address}: address already in use"
            self.say(f"ERROR:    [Errno {error.errno}] {trouble}", of_rank=False)
            faults.end(1)

        def stop(*_):
            end()
            if self.head:
                self.head.tell("stop")
            faults.end(0)

        if self.fault != "ignore-term":
            signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.say("The server is fired up and ready to roll!", of_rank=False)
        self.stay()

    def stay(self):
        if self.fault == "die-later":
            threading.Timer(DIE_S, self.die).start()
        faults.hang()


def gather_on_ray(engine):
    try:
        import ray
    except ImportError:
        sys.exit("ImportError: Ray is required for --use-ray mode. Install it with: pip install 'sglang[ray]'")
    from look_alike import on_ray

    on_ray.connect(ray, engine.say)
    engine.kept = on_ray.start_actors(ray, engine.tp * engine.pp)


def main():
    release = options.release_of("sglang", __version__)
    parser = options.parser("sglang", release, "launch_server.py")
    parser.set_defaults(model_path=None)
    args = parser.parse_args()
    if not args.model_path:
        parser.error("the following arguments are required: --model-path/--model")
    engine = Engine(release, args)
    if engine.tp * engine.pp % engine.nodes:
        sys.exit("AssertionError: tp_size must be divisible by number of nodes")
    engine.say(f"server_args=ServerArgs(model_path='{args.model_path}', served_model_name='{engine.model}')", False)
    if getattr(args, "use_ray", False):
        gather_on_ray(engine)
    else:
        engine.meet()
        engine.load()
    if engine.rank == 0:
        engine.serve()
    else:
        engine.follow()


if __name__ == "__main__":
    main()
