"""The real servers: how each is had, which variants of it there are, and how one is started."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import fetched
import servers

# The longest profile's prompt and answer, twice.
CONTEXT = 4096
SLOTS = 16
# vLLM imports for half a minute before it listens, and longer where something else runs.
VLLM_START_S = 300


class RealServer(Protocol):
    # As sparkbench names it.
    name: str
    # The ordinary one, and the one whose events are not tokens.
    plain: str
    odd: str
    # What is run against the odd one.
    odd_case: str
    odd_flags: tuple[str, ...]
    # What a run's summary must have beside what every run's has, by the run's name.
    figures: dict[str, tuple[str, ...]]

    def start(self, variant: str, folder: Path) -> servers.Server:
        """One that is started by `with`. Its model and its log are left in `folder`."""
        ...


@dataclass(frozen=True)
class LlamaCpp:
    """Of a folder with `llama-server` and its libraries."""

    binaries: Path
    name: str = "llama.cpp"
    plain: str = "characters"
    odd: str = "bytes"
    odd_case: str = "events are not tokens"
    odd_flags: tuple[str, ...] = ("--output=64",)
    figures: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def start(self, variant: str, folder: Path) -> servers.Server:
        model = folder / f"{variant}.gguf"
        flags = ["--characters"] if variant == self.plain else []
        fetched.run([str(fetched.gguf_python()), str(fetched.HERE / "tiny_gguf.py"), str(model), *flags])

        def command(port: int) -> list[str]:
            return [
                str(self.binaries / "llama-server"),
                f"--model={model}",
                "--alias=tiny",
                "--host=127.0.0.1",
                f"--port={port}",
                f"--ctx-size={SLOTS * CONTEXT}",
                f"--parallel={SLOTS}",
                "--metrics",
                "--offline",
                # Its threads wait for each other by spinning; on a shared core that takes tenths of a second a token.
                "--threads=1",
                "--threads-batch=1",
            ]

        environment = {"LD_LIBRARY_PATH": str(self.binaries)}
        return servers.Server(split_flags(command), folder / f"{variant}-server.log", environment=environment)


def split_flags(command):
    """`--flag=value` as two words: llama.cpp takes no other form."""
    return lambda port: [part for word in command(port) for part in word.split("=", 1)]


@dataclass(frozen=True)
class Vllm:
    """vLLM's own CPU backend, of a Python that has it."""

    python: Path
    name: str = "vllm"
    plain: str = "plain"
    odd: str = "drafts"
    # Drafts are repetitions of the text so far: an answer has to be long before it repeats itself.
    odd_case: str = "drafts and reasoning"
    odd_flags: tuple[str, ...] = ("--output=256",)
    figures: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"shared prefix": ("cached_tokens",), "drafts and reasoning": ("accept_length",)}
    )

    def start(self, variant: str, folder: Path) -> servers.Server:
        model = folder / "tiny"
        if not model.exists():
            fetched.run([str(self.python), str(fetched.HERE / "tiny_safetensors.py"), str(model)])
        drafts = {
            "method": "ngram",
            "num_speculative_tokens": 4,
            "prompt_lookup_min": 2,
            "prompt_lookup_max": 4,
        }
        # The model never ends its thoughts, so that all it says in a chat is reasoning.
        odd = [f"--speculative-config={json.dumps(drafts)}", "--reasoning-parser=deepseek_r1"]

        def command(port: int) -> list[str]:
            return [
                str(self.python),
                "-m",
                # What `vllm serve` runs. That program itself asks for the version of a package `vllm`, which this
                # one, of another name, does not have.
                "vllm.entrypoints.openai.api_server",
                f"--model={model}",
                "--served-model-name=tiny",
                "--host=127.0.0.1",
                f"--port={port}",
                f"--max-model-len={CONTEXT}",
                # Without compiling the model first.
                "--enforce-eager",
                "--enable-prompt-tokens-details",
                *(odd if variant == self.odd else []),
            ]

        environment = {
            "VLLM_CACHE_ROOT": str(fetched.cache() / "vllm-cache"),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # Its processes find each other by this address and interface.
            "VLLM_HOST_IP": "127.0.0.1",
            "GLOO_SOCKET_IFNAME": "lo",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        log = folder / f"{variant}-server.log"
        return servers.Server(command, log, environment=environment, start_s=VLLM_START_S)
