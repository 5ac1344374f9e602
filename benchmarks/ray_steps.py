"""The steps of benchmarks/ray_cluster.py, in a module that actors can import."""

import os
import time

import numpy as np
import ray

from pinfold.engine.interface import Options, Part, Shard, Steps

PAGE = 4096


def node(shard: Shard, options: Options) -> str:  # noqa: ARG001
    """The machine that this worker is on."""
    return str(ray.get_runtime_context().get_node_id())


def nothing(shard: Shard, options: Options) -> int:  # noqa: ARG001
    """As little as can be done, after some seconds."""
    time.sleep(float(options.get("seconds", 0)))
    return os.getpid()


def send(shard: Shard, options: Options) -> list[Part]:
    """So many bytes to each."""
    return [{"bytes": np.ones(int(options["n"]), np.uint8)} for _ in range(shard.size)]


def receive(shard: Shard, options: Options, parts: list[Part]) -> int:  # noqa: ARG001
    """Touch every page of what came."""
    return sum(int(part["bytes"][::PAGE].sum()) for part in parts)


TABLE = Steps({"node": node, "nothing": nothing}, {"send": send}, {"receive": receive})
