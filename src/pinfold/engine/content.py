"""What layers begin with: features of own items and users, block by block, and the users' as means over items."""

from dataclasses import replace

import numpy as np

from pinfold.arrays import BLOCK, Floats, narrow
from pinfold.data.stored import DatasetFiles
from pinfold.engine import joins
from pinfold.engine.graph import Side, files
from pinfold.engine.interface import Options, Shard
from pinfold.engine.parts import blocks, is_whole, making, open_part, read_rows, stored
from pinfold.engine.trained import read_both_encoders, read_trained
from pinfold.errors import DataError
from pinfold.features.encoders import Block, Encoders, encode
from pinfold.features.vectors import Vectors, read_vectors
from pinfold.graph.bipartite import read_csr
from pinfold.graph.streams import ArrayStream


def people(shard: Shard, options: Options) -> None:
    """Write the features of own users; of length 0 where the network knows none."""
    if is_whole(shard, options):
        return
    _, encoders = read_both_encoders(shard, options)
    width = encoders.dim if encoders else 0
    with making(shard, "people") as folder, ArrayStream(folder.path("users_content.npy"), np.float32, width) as out:
        for start, stop in blocks(shard.users, shard.rank, _at_once(shard, width)):
            rows = np.zeros((stop - start, 0), np.float32)
            out.append(rows if encoders is None else features(encoders, files(shard), "users", start, stop))


def content(shard: Shard, options: Options) -> bool:
    """Begin to write the content of own items; whether features of other workers' users are needed."""
    table = joins.Table(read_rows(shard, "people", "users_content.npy"), shard.users)
    return joins.begin(shard, table, None if is_whole(shard, options) else _content(shard, options))


def features(encoders: Encoders, dataset: DatasetFiles, side: Side, start: int, stop: int) -> Floats:
    """The features of the rows [start, stop). Shape (stop - start, F).

    Raises:
        DataError: a value is not what its column holds, or an npy file has not a row for each row of the table.
    """
    own: dict[str, Block] = {}
    columns = {}
    for name, block in encoders.columns.items():
        own[name] = block
        if isinstance(block.encoder, Vectors) and block.encoder.path is not None:
            columns[name] = read_vectors(block.encoder.path, dataset.n_rows(side))[start:stop]
            own[name] = replace(block, encoder=replace(block.encoder, path=None))
    table = dataset.block(side, [name for name in own if name not in columns], start, stop)
    table = replace(table, columns={**table.columns, **columns})
    encoders = replace(encoders, columns=own)
    try:
        return encode(encoders, table)
    except DataError:
        return encode(encoders, table, dataset.ids(side, start, stop))  # which says whose value it is


def _content(shard: Shard, options: Options) -> joins.Joining:
    growth = read_trained(shard, options).growth
    encoders, user_encoders = read_both_encoders(shard, options)
    around, own = user_encoders.dim if user_encoders else 0, shard.items.start(shard.rank)
    item_users, memory = read_csr(open_part(shard, "graph"), "item_users"), shard.job.memory
    width = encoders.dim + around + 1 + growth.n_ids
    with (
        making(shard, "content") as folder,
        ArrayStream(folder.path("inputs.npy"), stored(shard), width) as out,
    ):
        for start, stop in blocks(shard.items, shard.rank, _at_once(shard, width)):
            rows = (start - own, stop - own)
            sums = np.zeros((stop - start, 0), np.float32)
            if around:
                sums = yield from joins.summed(item_users, *rows, around, memory)
            known = features(encoders, files(shard), "items", start, stop)
            counts = np.diff(item_users.ptr[rows[0] : rows[1] + 1])
            out.append(narrow(growth.joined(known, sums, counts), stored(shard)))


def _at_once(shard: Shard, width: int) -> int:
    """Rows whose features are made at once."""
    return max(1, min(shard.job.block, BLOCK, shard.job.memory // (32 * width + 64)))
