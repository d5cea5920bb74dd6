"""The clients that are compared: how each is started under one load, and what each says of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import fetched

# Every client is told to send so many first and to leave them out of its figures. The mock counts them.
WARMUP = 1

# Nothing may be looked up or downloaded while something is measured.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

# SGLang's names for a protocol.
BACKENDS = {"chat": "sglang-oai-chat", "completions": "sglang-oai", "generate": "sglang"}


@dataclass(frozen=True)
class Load:
    """A closed loop of `streams`: the next request is sent when one ends."""

    requests: int
    streams: int
    input_tokens: int
    output_tokens: int
    protocol: str = "chat"


@dataclass(frozen=True)
class Command:
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a client reports. Milliseconds."""

    completed: int
    output_tokens: int
    ttft_p50: float
    ttft_p99: float
    itl_p50: float
    itl_p99: float


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    # Makes the command line of a load on a server, with a folder for what it writes.
    command: Callable[[Load, str, Path], Command]
    # Reads what it wrote to that folder.
    read: Callable[[Path], Said]
    # The whole result, where its keys are those of sglang.bench_serving.
    result: Callable[[Path], dict] | None = None


def known(sparkbench: Path) -> dict[str, Peer]:
    peers = (
        Peer("sparkbench", "sparkbench", lambda *load: spark(sparkbench, *load), flat(spark_result), spark_result),
        Peer("rust", f"SGLang {fetched.SGLANG}, Rust client", rust, flat(sglang_result), sglang_result),
        Peer("python", f"SGLang {fetched.SGLANG}, Python client", python, flat(sglang_result), sglang_result),
        Peer("aiperf", "aiperf 0.13.0", aiperf, read_aiperf),
    )
    return {peer.name: peer for peer in peers}


def spark(sparkbench: Path, load: Load, url: str, out: Path) -> Command:
    return Command(
        [
            str(sparkbench),
            "run",
            f"--base-url={url}",
            f"--protocol={load.protocol}",
            f"--requests={load.requests}",
            f"--concurrency={load.streams}",
            f"--input={load.input_tokens}",
            f"--output={load.output_tokens}",
            "--lengths=exact",
            f"--warmup={WARMUP}",
            "--no-html",
            "--json",
            f"--out={out / 'run'}",
        ]
    )


def spark_result(out: Path) -> dict:
    return json.loads((out / "run" / "summary.json").read_text())


def rust(load: Load, url: str, out: Path) -> Command:
    program = [fetched.python311(), str(fetched.HERE / "sglang_rust.py"), str(fetched.sglang_rust_extension())]
    # One core is all it gets; more threads than cores would only cost it.
    return Command([*program, *sglang_flags(load, url, out), "--worker-threads=1"], OFFLINE)


def python(load: Load, url: str, out: Path) -> Command:
    program = [str(fetched.sglang_python()), "-W", "ignore", "-m", "sglang.benchmark.serving"]
    found = {"PYTHONPATH": str(fetched.HERE / "shim"), "SPARK_SGLANG": str(fetched.sglang())}
    return Command([*program, *sglang_flags(load, url, out)], {**OFFLINE, **found})


def sglang_flags(load: Load, url: str, out: Path) -> list[str]:
    return [
        f"--backend={BACKENDS[load.protocol]}",
        f"--base-url={url}",
        "--model=mock",
        f"--tokenizer={fetched.words_tokenizer()}",
        "--dataset-name=random-ids",
        f"--num-prompts={load.requests}",
        f"--max-concurrency={load.streams}",
        f"--random-input-len={load.input_tokens}",
        f"--random-output-len={load.output_tokens}",
        # Exact lengths: from this share of the length up to it.
        "--random-range-ratio=1.0",
        f"--warmup-requests={WARMUP}",
        f"--output-file={out / 'result.jsonl'}",
        "--disable-tqdm",
    ]


def sglang_result(out: Path) -> dict:
    # Python reads the bare Infinity that the Python client writes, although it is no JSON.
    return json.loads((out / "result.jsonl").read_text().splitlines()[-1])


def flat(result: Callable[[Path], dict]) -> Callable[[Path], Said]:
    def read(out: Path) -> Said:
        said = result(out)
        return Said(
            completed=said["completed"],
            output_tokens=said["total_output_tokens"],
            ttft_p50=said["median_ttft_ms"],
            ttft_p99=said["p99_ttft_ms"],
            itl_p50=said["median_itl_ms"],
            itl_p99=said["p99_itl_ms"],
        )

    return read


def aiperf(load: Load, url: str, out: Path) -> Command:
    return Command(
        [
            str(fetched.aiperf()),
            "profile",
            "--model=mock",
            f"--url={url}",
            f"--endpoint-type={load.protocol}",
            "--streaming",
            f"--concurrency={load.streams}",
            f"--request-count={load.requests}",
            f"--warmup-request-count={WARMUP}",
            f"--isl={load.input_tokens}",
            f"--osl={load.output_tokens}",
            "--extra-inputs=ignore_eos:true",
            f"--output-artifact-dir={out / 'artifacts'}",
            "--ui=none",
            "--random-seed=1",
            "--no-gpu-telemetry",
            "--no-server-metrics",
            f"--tokenizer={fetched.TOKENIZER_NAME}",
            # Otherwise it would tokenize every answer, work that the others do not do.
            "--use-server-token-count",
        ],
        {**OFFLINE, "HF_HOME": str(fetched.hugging_face_home())},
    )


def read_aiperf(out: Path) -> Said:
    said = json.loads((out / "artifacts" / "profile_export_aiperf.json").read_text())
    first = said["time_to_first_token"]
    # Its `inter_token_latency` is a mean for each request; this is what the others call by that name. A run
    # of one token a request has none.
    between = said.get("inter_chunk_latency") or {"p50": 0.0, "p99": 0.0}
    return Said(
        completed=int(said["request_count"]["avg"]),
        output_tokens=int(said["total_osl"]["avg"]),
        ttft_p50=first["p50"],
        ttft_p99=first["p99"],
        itl_p50=between["p50"],
        itl_p99=between["p99"],
    )
