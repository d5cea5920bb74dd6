"""Measures in Triton's interpreter and prints how far each arm's output is from the reference.

A process of its own, because TRITON_INTERPRET=1 has to be there before Triton is. On stdin
one line of JSON: a prepare request, and measure requests. On stdout as many lists of errors.
"""

import json
import math
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

from spark_worker.bench import Bench
from spark_worker.reference import Reference, relative_error
from spark_worker.routing import Routing
from tests.lookalike import LookalikeStage


class Poisoned(LookalikeStage):
    """Fills the outputs with NaN before each run that counts, so that nothing is left over from a check."""

    bench = None

    def record(self, run):
        def poisoned():
            inputs = self.bench._prepared.inputs
            for output in (*(operands.c for operands in inputs.operands.values()), inputs.activated):
                output.fill_(math.nan)
            run()

        return poisoned


def errors(torch, bench, request):
    prepared, found = bench._prepared, []
    for arm in request["arms"]:
        events = []
        bench.measure({**request, "arms": [arm], "order": [0]}, lambda event, **fields: events.append((event, fields)))
        if events[-1][0] != "timed":
            found.append(events)
            continue
        routed = prepared.routed(Routing(**request["routing"]), request["batch_size"])
        role = "down" if arm["role"] == "path" else arm["role"]
        output = prepared.inputs.operands[role].c[: routed.ids.numel()]
        reference = Reference(torch, prepared.inputs, routed.ids, routed.weights)
        found.append(relative_error(output, reference.of(arm["role"])))
    return found


def main():
    import torch

    stage = Poisoned()
    bench = Bench(lambda _: stage)
    stage.bench = bench
    work = json.loads(sys.stdin.readline())
    bench.prepare(work["prepare"], lambda *_, **__: None)
    print(json.dumps([errors(torch, bench, request) for request in work["measure"]]))


if __name__ == "__main__":
    main()
