"""Training batches written down whole, so that who trains on them needs neither graph nor table of content.

For every batch of an epoch: its pairs and negatives, the K hops of the graph that they need, and the content of all
items in these, each in a file of its own. AGL's GraphFlat (Zhang et al., VLDB 2020) in the form of mini-batches: its
"information-complete" neighborhoods, shared by the pairs of a batch. One batch is in memory at a time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pinfold.arrays import Floats, Ints, narrow
from pinfold.artifacts import is_folder, open_folder, writing
from pinfold.engine.partition import Ranges, by_owner
from pinfold.errors import ArtifactError
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.kernels.frontier import transpose
from pinfold.models.pinsage import PinSageConfig, Shape, n_hard
from pinfold.sampling.blocks import Block, Edges, blocks
from pinfold.sampling.item_batches import ItemBatch, Sampler

KIND = "flat-batches"
HEADER = "flat.json"
ARRAYS = ("nodes", "queries", "positives", "negatives", "hard", "log_draws", "weights")

Form = dict[str, Any]  # what an epoch was written with
Rows = Callable[[Ints], NDArray[Any]]  # items (m,) -> their rows (m, ..)


@dataclass(frozen=True, slots=True)
class Tables:
    """Where neighbors and content come from, by rows: mapped tables, or parts that workers own."""

    ids: Rows  # (m, T) neighbors, -1 where there are fewer
    weights: Rows  # (m, T)
    content: Rows  # (m, F_0)


def mapped(table: NDArray[Any]) -> Rows:
    """Rows of one table, read in the order of the file."""
    return parted(Ranges(len(table), 1), [table])


def parted(ranges: Ranges, parts: Sequence[NDArray[Any]]) -> Rows:
    """Rows of a table in parts, such as the sealed folders of an engine's workers hold; each is read in its order."""

    def rows(items: Ints) -> NDArray[Any]:
        out = np.empty((len(items), *parts[0].shape[1:]), parts[0].dtype)
        order, ends = by_owner(ranges, items)
        for owner, part in enumerate(parts):
            places = order[ends[owner] : ends[owner + 1]]
            places = places[np.argsort(items[places], kind="stable")]
            out[places] = part[items[places] - ranges.start(owner)]
        return out

    return rows


def place(folder: Path, epoch: int) -> Path:
    """Where the batches of an epoch, from 1, are."""
    return folder / f"epoch-{epoch:04d}"


def flatten(
    folder: Path, config: PinSageConfig, sampler: Sampler, tables: Tables, shape: Shape, seed: int, epochs: int,
    *, half: bool = False,
) -> None:  # fmt: skip
    """Write the batches of epochs 1 to `epochs` as `training.loop.train` would draw them; those that are there stay.

    Args:
        folder: gets a sealed folder for each epoch.
        config: options of the model.
        sampler: of the model; of its neighborhoods only those of `tables` are used.
        tables: neighbors and content by rows.
        shape: of the model.
        seed: of the training.
        epochs: how many.
        half: content in half precision: half the bytes, and losses equal to some three digits only.

    Raises:
        ArtifactError: an epoch that is there was written with other options, or the file system refuses.
    """
    drawing = replace(sampler, n_layers=0)
    form = {"options": asdict(config), "seed": seed, "half": half, "n_items": shape.n_items, "width": shape.width}
    form = json.loads(json.dumps({**form, "untaken": shape.untaken[0].tolist()}))  # as it is read again
    for epoch in range(1, epochs + 1):
        if is_folder(place(folder, epoch)):
            _check_same(place(folder, epoch), form)
            continue
        rng = np.random.default_rng([seed, epoch])
        rng.integers(2**63)  # which training takes for itself before the first batch
        drawn = drawing.batches(rng, n_hard(config.negatives, epoch))
        _write(place(folder, epoch), drawn, lambda batch: _whole(batch, tables, sampler, half), form)


def _check_same(path: Path, form: Form) -> None:
    """Raise unless the epoch that is there is the one that is asked for."""
    found = _header(path)
    other = ", ".join(name for name, value in form.items() if found.get(name) != value)
    if other:
        raise ArtifactError(f"{path}: was written with other {other}; remove it, or write to another folder")


def _header(path: Path) -> Form:
    return open_folder(path, KIND, lambda name: name == HEADER).json(HEADER)


def _write(path: Path, drawn: Iterable[ItemBatch], whole: Callable[[ItemBatch], ItemBatch], form: Form) -> None:
    with writing(path, KIND) as folder:
        n_batches = 0
        for batch in drawn:
            save_file(_packed(whole(batch)), folder.path(_name(n_batches)))
            n_batches += 1
        folder.json(HEADER, {"n_batches": n_batches, **form})


def _name(number: int) -> str:
    return f"batch_{number:06d}.safetensors"


def _whole(batch: ItemBatch, tables: Tables, sampler: Sampler, half: bool) -> ItemBatch:
    """A batch of bare items with its part of the graph and its content."""
    asking = np.concatenate([batch.queries, batch.more[1]])
    positives = np.concatenate([batch.positives, batch.positives[batch.more[0]]])
    pairs = (batch.nodes[asking], batch.nodes[positives]) if sampler.guard else ()
    nodes, made = hops(tables, batch.nodes, sampler.n_layers, pairs)
    content = narrow(tables.content(nodes).astype(np.float32, copy=False), np.float16 if half else np.float32)
    return replace(batch, nodes=nodes, blocks=made, content=content)


def hops(tables: Tables, seeds: Ints, n_layers: int, pairs: Sequence[Ints] = ()) -> tuple[Ints, tuple[Block, ...]]:
    """As `sampling.blocks.blocks`, from the rows that are needed and no others.

    Args:
        tables: neighbors by rows.
        seeds: (n,) distinct items that need a vector.
        n_layers: K, and as many times rows are asked for.
        pairs: rows (b,) of items, among the seeds, whose edges are hidden.

    Returns:
        Nodes (m,), `seeds` first, and K blocks.
    """
    known, frontier = seeds.astype(np.int32), seeds.astype(np.int32)
    ids, weights = [], []
    for _ in range(n_layers):
        ids.append(tables.ids(frontier))
        weights.append(tables.weights(frontier))
        frontier = np.setdiff1d(ids[-1][ids[-1] >= 0], known).astype(np.int32)
        known = np.concatenate([known, frontier])
    if not n_layers:
        return known, ()
    # the same graph under new numbers: those in which items were found
    order = np.argsort(known)
    near = np.concatenate([*ids, np.full((len(frontier), ids[0].shape[1]), -1, np.int32)])
    far = np.concatenate([*weights, np.zeros((len(frontier), ids[0].shape[1]), np.float32)])

    def numbers(items: Ints) -> Ints:
        return order[np.searchsorted(known, items, sorter=order)].astype(np.int32)

    local = np.where(near >= 0, numbers(np.maximum(near, known.min())), -1).astype(np.int32)
    own = [numbers(part) for part in pairs]
    nodes, made = blocks(Neighborhoods(local, far), np.arange(len(seeds), dtype=np.int32), n_layers, own)
    return known[nodes], made


def _packed(batch: ItemBatch) -> dict[str, NDArray[Any]]:
    """As plain arrays; blocks without their transposes."""
    arrays: dict[str, Any] = {name: getattr(batch, name) for name in ARRAYS}
    arrays |= {"taken_rows": batch.taken[0], "taken_columns": batch.taken[1], "content": batch.content}
    arrays |= {"more_rows": batch.more[0], "more": batch.more[1]}
    for k, block in enumerate(batch.blocks):
        arrays |= {f"{k}.{part.name}": getattr(block.forward, part.name) for part in fields(Edges)}
    arrays["plain"] = np.array([batch.untaken, len(batch.blocks), *(block.n_columns for block in batch.blocks)])
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _unpacked(arrays: dict[str, NDArray[Any]]) -> ItemBatch:
    untaken, n_blocks, *columns = arrays["plain"].tolist()
    made = []
    for k in range(n_blocks):
        forward = Edges(*(arrays[f"{k}.{part.name}"] for part in fields(Edges)))
        backward = Edges(*transpose(forward.ptr, forward.ids, forward.weights, columns[k]))
        made.append(Block(len(forward.ptr) - 1, columns[k], forward, backward))
    taken, more = (arrays["taken_rows"], arrays["taken_columns"]), (arrays["more_rows"], arrays["more"])
    content: Floats = arrays["content"].astype(np.float32, copy=False)
    own: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    return ItemBatch(**own, blocks=tuple(made), taken=taken, untaken=untaken, more=more, content=content)


@dataclass(frozen=True, slots=True)
class FlatBatches:
    """Epochs that `flatten` wrote."""

    folder: Path

    def shape(self) -> Shape:
        """Of the model that they are for.

        Raises:
            ArtifactError: the first epoch is missing or damaged.
        """
        kept = _header(place(self.folder, 1))
        return Shape(kept["n_items"], kept["width"], np.array([kept["untaken"]], np.float32))

    def n_epochs(self) -> int:
        """How many are there."""
        return len(list(self.folder.glob("epoch-*")))

    def n_batches(self) -> int:
        """Batches in an epoch."""
        return int(_header(place(self.folder, 1))["n_batches"])

    def batches(self, epoch: int) -> Iterator[ItemBatch]:
        """The batches of an epoch, from 1, in their order; after the last epoch the first follows.

        Raises:
            ArtifactError: names the file that is missing, truncated or damaged.
        """
        epoch = (epoch - 1) % max(self.n_epochs(), 1) + 1
        for number in range(int(_header(place(self.folder, epoch))["n_batches"])):
            name = _name(number)
            file = open_folder(place(self.folder, epoch), KIND, lambda other, name=name: other == name).file(name)  # type: ignore[misc]
            try:
                yield _unpacked(load_file(file))
            except (SafetensorError, KeyError, ValueError) as error:
                raise ArtifactError(f"{file}: is no batch: {error}; write it again") from error
