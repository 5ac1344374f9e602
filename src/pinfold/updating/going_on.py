"""Training that goes on from where it ended, on a graph that has grown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pinfold.arrays import Floats
from pinfold.artifacts import open_folder
from pinfold.data.interactions import Interactions
from pinfold.data.pairs import read_pairs
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import KIND
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.content import Content
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolved import Convolved
from pinfold.models.interface import Context
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.models.shelf import needs_pairs
from pinfold.progress import Progress
from pinfold.run import RunConfig
from pinfold.sampling.informativeness import mean_one
from pinfold.sampling.item_pairs import ItemPairs
from pinfold.training.checkpoint import parameters
from pinfold.training.loop import Report, train

FILE = "model.safetensors"


def stored_parameters(path: Path, n_items: int) -> dict[str, Floats]:
    """The parameters of the artifact at `path`, with zeros for the ids of items behind its last; none: not stored.

    Raises:
        ArtifactError: the file is damaged.
    """
    folder = open_folder(path, KIND, lambda name: name == FILE)
    if not folder.has(FILE):
        return {}
    try:
        found = load_file(folder.file(FILE))
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"{path / FILE}: is damaged: {error}; restore it from its source") from error
    if "ids" in found:
        ids = np.zeros((n_items, found["ids"].shape[1]), np.float32)
        ids[: len(found["ids"])] = found["ids"]
        found["ids"] = ids
    return found


def train_on(
    run: RunConfig, graph: BipartiteGraph, content: Content, items: Vocab, kept: dict[str, Floats], epochs: int,
    number: int, progress: Progress,
) -> tuple[Convolved, dict[str, Floats], Report]:  # fmt: skip
    """The network after some more epochs on this graph, and everything embedded anew.

    Args:
        run: the run's options; how long it trained does not count.
        graph: what is learned from, U' users and I' items.
        content: the features of these.
        items: their ids, for pairs of one's own.
        kept: the parameters to begin with.
        epochs: how many.
        number: which update this is, from 1, so that each draws other batches.
        progress: is told how it goes.

    Raises:
        ConfigError: the options need what an artifact does not keep, as times.
        DataError: the run learned from pairs of one's own, and their file is not there any more.
        ArtifactError: parameters that are not of this network.
    """
    if not isinstance(run.model, PinSageConfig):
        raise ConfigError(f"--train goes on training a pinsage, this is a {run.model.name}")
    pairs = None
    if run.data.pairs is not None and needs_pairs(run.model):
        queries, positives, weights = read_pairs(Path(run.data.pairs), items)
        pairs = ItemPairs(queries, positives, mean_one(weights))
    users = np.repeat(np.arange(graph.n_users, dtype=np.int32), graph.user_items.degrees())
    events = Interactions.of(users, np.array(graph.user_items.ids), graph.n_users, graph.n_items)
    model = PinSage(run.model, graph, run.seed, Context(events, content, pairs))
    try:
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in kept.items()})
    except RuntimeError as error:
        raise ArtifactError(f"{FILE}: is not of this network: {' '.join(str(error).split())}") from error
    config = replace(run.train, epochs=epochs, seconds=None, warmup_steps=0, processes=1)
    report = train(model, config, run.seed + number, progress=progress)
    return model.embed(), parameters(model.module()), report
