"""Stands in for `sglang/__init__.py`, so that SGLang's benchmark client runs without torch.

The real package imports its front-end language and, with it, torch: gigabytes that a client over HTTP never
uses. Everything below `sglang.benchmark` comes unchanged from the unpacked wheel, whose `sglang` folder
`SPARK_SGLANG` names; this replaces only the four modules on the way that want torch or a large package.
"""

import importlib.util
import os
import sys
import types

__path__ = [os.environ["SPARK_SGLANG"]]


def _replace(name: str, **contents: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module


def _resolve_base_url(base_url: str | None, host: str, port: int) -> str:
    return base_url or f"http://{host}:{port}"


def _resolve_host_port(base_url: str | None, host: str, port: int) -> str:
    return base_url or f"{host}:{port}"


# Sent only where a prefill server is benchmarked on its own, which is not done here.
_replace("sglang.srt.disaggregation.utils", FAKE_BOOTSTRAP_HOST="")
_network = _replace(
    "sglang.srt.utils.network", resolve_base_url=_resolve_base_url, resolve_host_port=_resolve_host_port
)
# A package, since `network` is imported from it.
_replace("sglang.srt.utils", __path__=[], network=_network)
# Of use to data sets that have to be downloaded, which are not used here.
if importlib.util.find_spec("datasets") is None:
    _replace("datasets", load_dataset=None)
