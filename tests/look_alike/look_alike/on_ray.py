"""Ranks as actors of a real Ray cluster, one a GPU; what they load is time."""

import threading

from . import LOAD_S, faults


def connect(ray, say):
    """Join the cluster that this node belongs to."""
    ray.init(address="auto", logging_level="error")
    say(f"Connected to Ray cluster with {ray.cluster_resources().get('GPU', 0):g} GPUs")


def start_actors(ray, count):
    """Start `count` actors, each with a GPU, and wait until all have loaded; which node each is on."""

    @ray.remote(num_gpus=1, num_cpus=1, scheduling_strategy="SPREAD")
    class Rank:
        def load(self, takes_s):
            import os
            import time

            time.sleep(takes_s)
            return os.uname().nodename

        def stay(self):
            faults.hang()

    actors = [Rank.remote() for _ in range(count)]
    nodes = ray.get([actor.load.remote(LOAD_S) for actor in actors])

    def watch(stays):
        try:
            ray.get(stays)
        except ray.exceptions.RayError as error:
            print(f"ray.exceptions.{type(error).__name__}: {error}", flush=True)
            faults.end(1)

    for actor in actors:
        threading.Thread(target=watch, args=(actor.stay.remote(),), daemon=True).start()
    return actors, nodes
