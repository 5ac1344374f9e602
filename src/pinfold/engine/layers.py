"""The layers over a partitioned graph, as the paper's two MapReduce jobs a layer: project; join and pool.

PinSage (Ying et al., KDD 2018), section 3.4: all items' vectors are made layer by layer, each once.
"""

import numpy as np

from pinfold.arrays import Floats, Ints, narrow, unit
from pinfold.engine import joins
from pinfold.engine.interface import Options, Shard
from pinfold.engine.parts import blocks, is_whole, making, open_part, read_rows, stored, wide
from pinfold.engine.trained import read_trained
from pinfold.graph.bipartite import read_csr
from pinfold.graph.convolve import BLOCK, convolve, finish, send
from pinfold.graph.convolved import Network
from pinfold.graph.neighborhoods import Neighborhoods, read_neighborhoods
from pinfold.graph.streams import ArrayStream


def project(shard: Shard, options: Options) -> None:
    """Write what own items send to their neighbors."""
    if is_whole(shard, options):
        return
    layer = read_trained(shard, options).network.convolutions[options["layer"]]
    rows, own = read_rows(shard, _before(options["layer"]), "inputs.npy"), shard.items.start(shard.rank)
    width = len(layer.neighbor_bias)
    with making(shard, options["stage"]) as folder, ArrayStream(folder.path("sent.npy"), stored(shard), width) as out:
        for start, stop in blocks(shard.items, shard.rank, _at_once(shard, rows.shape[1] + width)):
            out.append(narrow(send(layer, wide(rows[start - own : stop - own])), stored(shard)))


def convolve_items(shard: Shard, options: Options) -> bool:
    """Begin to write what own items become by one layer; whether messages of other workers' items are needed."""
    table = joins.Table(read_rows(shard, f"project{options['layer']}", "sent.npy"), shard.items)
    return joins.begin(shard, table, None if is_whole(shard, options) else _convolved(shard, options))


def vectors(shard: Shard, options: Options) -> None:
    """Write the vectors of own items."""
    if is_whole(shard, options):
        return
    network = read_trained(shard, options).network
    rows, own = read_rows(shard, _before(options["layer"]), "inputs.npy"), shard.items.start(shard.rank)
    width = rows.shape[1] if network.head is None else network.head.second.shape[1]
    with making(shard, "vectors") as folder, ArrayStream(folder.path("items.npy"), np.float32, width) as out:
        for start, stop in blocks(shard.items, shard.rank, _at_once(shard, rows.shape[1] + width)):
            out.append(finish(network, wide(rows[start - own : stop - own])))


def users(shard: Shard, options: Options) -> bool:
    """Begin to write own users as means of the directions of what they took, as `interests.make_users` does."""
    table = joins.Table(read_rows(shard, "vectors", "items.npy"), shard.items, unit)
    return joins.begin(shard, table, None if is_whole(shard, options) else _means(shard, table.rows.shape[1]))


def _convolved(shard: Shard, options: Options) -> joins.Joining:
    k, n_items = options["layer"], shard.job.n_items
    network = read_trained(shard, options).network
    layer, own = network.convolutions[k], shard.items.start(shard.rank)
    inputs = read_rows(shard, _before(k), "inputs.npy")
    near = read_neighborhoods(open_part(shard, "neighborhoods"), n_items=n_items)
    length, width, made = near.ids.shape[1], len(layer.neighbor_bias), layer.both.shape[1]
    with making(shard, options["stage"]) as folder, ArrayStream(folder.path("inputs.npy"), stored(shard), made) as out:
        for start, stop in blocks(shard.items, shard.rank, _pooled_at_once(shard, network, length, width, made)):
            rows = slice(start - own, stop - own)
            needed, ids = _named(near.ids[rows], n_items, shard.job.memory)
            sent = np.zeros((0, width), np.float32)
            if len(needed):
                sent = wide((yield needed))
            for part in _pieces(network, start, stop):
                some = Neighborhoods(ids[part], near.weights[rows][part])
                done = convolve(layer, network.pooling, wide(inputs[rows][part]), sent, some)
                out.append(narrow(done, stored(shard)))


def _means(shard: Shard, width: int) -> joins.Joining:
    histories, own = read_csr(open_part(shard, "graph"), "user_items"), shard.users.start(shard.rank)
    with making(shard, "users") as folder, ArrayStream(folder.path("users.npy"), np.float32, width) as out:
        for start, stop in blocks(shard.users, shard.rank, _at_once(shard, 3 * width)):
            rows = (start - own, stop - own)
            sums = yield from joins.summed(histories, *rows, width, shard.job.memory)
            counts = np.diff(histories.ptr[rows[0] : rows[1] + 1])
            means: Floats = sums / np.maximum(counts, 1).astype(np.float32)[:, None]
            out.append(means)


def _named(ids: Ints, n_items: int, memory: int) -> tuple[Ints, Ints]:
    """The items that are neighbors at all, and the neighbors (n, T) by their places among these; -1 for none."""
    there = ids >= 0
    found, places = joins.named(ids[there], n_items, memory)
    local = np.full(ids.shape, -1, np.int32)
    local[there] = places
    return found, local


def _pieces(network: Network, start: int, stop: int) -> list[slice]:
    """Rows of a block that are pooled at once; with attention all, since it looks at every message each time."""
    step = stop - start if network.pooling == "attention" else BLOCK
    return [slice(one, min(one + step, stop - start)) for one in range(0, stop - start, step)]


def _before(layer: int) -> str:
    """The stage that made this layer's inputs."""
    return f"convolve{layer - 1}" if layer else "content"


def _pooled_at_once(shard: Shard, network: Network, length: int, width: int, made: int) -> int:
    """Rows whose `length` neighbors' messages are in memory at once; those of all items at most, where there is room.

    The more rows at once, the fewer times each message is asked for.
    """
    room = shard.job.memory - 16 * width * shard.job.n_items  # once all are here, and answers to others
    many = room // (32 * length) if network.pooling != "attention" else 0
    return max(_at_once(shard, length * (width + 8) + made), min(shard.job.block, many))


def _at_once(shard: Shard, width: int) -> int:
    """Rows that are in memory at once, given how many numbers belong to one."""
    return max(1, min(shard.job.block, shard.job.memory // (12 * width)))
