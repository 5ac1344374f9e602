"""What a job takes from the artifact: the trained layers, how they are fed, and the encoders of attributes."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from pinfold.artifacts import open_folder
from pinfold.embedding.artifact import FEATURES, KIND
from pinfold.embedding.artifact import USER_FEATURES as USERS
from pinfold.embedding.networks import read_network
from pinfold.engine.interface import Options, Shard
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.encoders import Encoders
from pinfold.features.store import read_encoders
from pinfold.graph.convolved import Growth, Network

LAYERS = re.compile(r"network\.json|layer\d+_(?!inputs).*|head_.*")


@dataclass(frozen=True, slots=True)
class Trained:
    """Small enough for every worker to hold."""

    network: Network
    growth: Growth


def read_trained(shard: Shard, options: Options) -> Trained:
    """The network of the job's artifact, read once in a worker's life; degrees are scaled as `options` say.

    Raises:
        ArtifactError: a file is missing or damaged, or no PinSage made the artifact.
    """
    if "trained" not in shard.kept:
        folder = open_folder(shard.job.artifact, KIND, lambda name: bool(LAYERS.fullmatch(name)))
        if not folder.has("network.json"):
            raise ArtifactError(f"{folder.path}: holds no trained layers; only PinSage can be applied to other data")
        network, growth, _ = read_network(folder, "")
        shard.kept["trained"] = Trained(network, growth)
    trained: Trained = shard.kept["trained"]
    if "degree_mean" not in options:
        return trained
    mean, deviation = float(options["degree_mean"]), float(options["degree_deviation"])
    return Trained(trained.network, replace(trained.growth, degree_mean=mean, degree_deviation=deviation))


def read_both_encoders(shard: Shard, options: Options) -> tuple[Encoders, Encoders | None]:
    """The encoders of items, and those of users where the network knows users' features.

    Raises:
        ArtifactError: a file is missing or damaged.
        ConfigError: the network wants features of users, and no encoders of theirs were kept, or others.
    """
    trained = read_trained(shard, options)
    path = Path(options.get("encoders", shard.job.artifact))
    folder = open_folder(path, wanted=lambda name: name.startswith((FEATURES, USERS)))
    items = read_encoders(folder, FEATURES)
    wanted = _content_length(trained.network) - items.dim - 1 - trained.growth.n_ids
    if not wanted:
        return items, None
    users = read_encoders(folder, USERS) if folder.has(f"{USERS}encoders.json") else None
    if users is None or users.dim != wanted:
        found = "no encoders of theirs" if users is None else f"encoders for {users.dim}"
        raise ConfigError(f"{path}: the network knows {wanted} features of users, and there are {found}; train again")
    return items, users


def _content_length(network: Network) -> int:
    """D_0, the length of an item's content."""
    if network.convolutions:
        return len(network.convolutions[0].neighbor)
    if network.head is None:
        raise ConfigError("a network without layers makes nothing of features")
    return len(network.head.first)
