"""Takes SGLang's kernels out of an installation, without importing SGLang or torch."""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from spark_worker.launch import DENSE_KERNEL, GROUP_QUANTISED_KERNEL
from spark_worker.protocol import RequestError
from spark_worker.sglang_tree import SglangTree

_KERNELS = (DENSE_KERNEL, GROUP_QUANTISED_KERNEL)


@dataclass(frozen=True)
class Parameter:
    name: str
    is_constexpr: bool


@dataclass(frozen=True)
class KernelSource:
    path: Path
    sglang_version: str | None
    # The kernels and the jitted functions they call, in the order of the file.
    functions: tuple[str, ...]
    text: str
    digest: str
    parameters: dict[str, tuple[Parameter, ...]]

    def parameters_of(self, kernel, known):
        """The parameters of `kernel`, once every one of them is in `known`."""
        if kernel not in self.parameters:
            raise RequestError("kernel_not_found", f"{self.path} has no {kernel}")
        strangers = [p.name for p in self.parameters[kernel] if p.name not in known]
        if strangers:
            raise RequestError(
                "unknown_parameter",
                f"{kernel} in {self.path} has a parameter this worker cannot bind: {', '.join(strangers)}",
            )
        return self.parameters[kernel]


def find_kernel(root):
    tree = SglangTree.at(root)
    return extract(tree.kernel_file(), tree.version())


def extract(path, sglang_version=None):
    source = _read(path)
    try:
        module = ast.parse(source)
    except SyntaxError as error:
        raise RequestError("kernel_unreadable", f"{path}, line {error.lineno}: {error.msg}") from error
    jitted = {node.name: node for node in module.body if _is_jitted(node)}
    if DENSE_KERNEL not in jitted:
        raise RequestError("kernel_unreadable", f"{path} has no @triton.jit function {DENSE_KERNEL}")
    taken = _with_callees([name for name in _KERNELS if name in jitted], jitted)
    text = "\n\n\n".join(_text_of(jitted[name], source) for name in jitted if name in taken) + "\n"
    return KernelSource(
        path=path,
        sglang_version=sglang_version,
        functions=tuple(name for name in jitted if name in taken),
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        parameters={name: _parameters(jitted[name]) for name in _KERNELS if name in jitted},
    )


def _read(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError("kernel_unreadable", f"{path}: {error}") from error


def _is_jitted(node):
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(decorator) == "triton.jit" for decorator in node.decorator_list
    )


def _with_callees(names, jitted):
    taken, pending = set(), list(names)
    while pending:
        name = pending.pop()
        if name not in taken:
            taken.add(name)
            called = {node.id for node in ast.walk(jitted[name]) if isinstance(node, ast.Name)}
            pending.extend(called & jitted.keys())
    return taken


def _text_of(function, source):
    """The function as written, decorators included. Not `ast.unparse`: its output, and with it
    the digest, would differ between Python versions."""
    first = min(decorator.lineno for decorator in function.decorator_list) - 1
    lines = source.splitlines()[first : function.end_lineno]
    return "\n".join(line.rstrip() for line in lines)


def _parameters(function):
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return tuple(Parameter(a.arg, a.annotation is not None and "constexpr" in ast.unparse(a.annotation)) for a in every)
