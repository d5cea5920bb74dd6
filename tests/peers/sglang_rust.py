"""Run SGLang's Rust benchmark client: `python3.11 sglang_rust.py EXTENSION [FLAG ...]`.

The client is an extension module that SGLang's launcher imports. Loaded by its path it needs nothing else of
the wheel, and no package at all.
"""

import importlib.util
import sys

extension = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("_bench", extension)
if spec is None or spec.loader is None:
    sys.exit(f"{extension}: no extension module")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
# It takes a whole argument vector, and writes what --output-file names.
module.run_argv(sys.argv)
