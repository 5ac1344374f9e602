"""PinSage's layers and their inputs as memory-mapped arrays in a folder."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import all_finite
from pinfold.artifacts import Folder, FolderWriter
from pinfold.config import parse
from pinfold.errors import ArtifactError, ConfigError
from pinfold.graph.convolved import Convolution, Convolved, Growth, Head, Network
from pinfold.graph.learned import Learned
from pinfold.graph.neighborhoods import read_neighborhoods, write_neighborhoods

LAYER = ("neighbor", "neighbor_bias", "both", "bias", "attention")
HEAD = ("first", "bias", "second")
POOLINGS = ("importance", "mean", "max", "attention")
Write = Callable[[FolderWriter, Learned, str], None]
Read = Callable[[Folder, str], Learned]


def write_convolved(folder: FolderWriter, learned: Convolved, prefix: str, write: Write) -> None:
    """`network.json`, `layer0_both.npy` and so on, `layer0_inputs.npy`, `head_*`, `neighbor_*`, vectors."""
    network = learned.network
    form = {
        "layers": len(network.convolutions),
        "pooling": network.pooling,
        "unit": network.unit,
        "length_exponent": learned.length_exponent,
        "head": network.head is not None,
        "growth": asdict(learned.growth),
        "half": any(inputs.dtype == np.float16 for inputs in learned.inputs),
    }
    folder.json(f"{prefix}network.json", form)
    folder.array(f"{prefix}users_content.npy", learned.users)
    if learned.neighborhoods is not None:
        write_neighborhoods(folder, learned.neighborhoods, prefix)
    for k, inputs in enumerate(learned.inputs):
        folder.array(f"{prefix}layer{k}_inputs.npy", inputs)
    for k, layer in enumerate(network.convolutions):
        for name in LAYER:
            folder.array(f"{prefix}layer{k}_{name}.npy", getattr(layer, name))
    for name in HEAD if network.head else ():
        folder.array(f"{prefix}head_{name}.npy", getattr(network.head, name))
    write(folder, learned.vectors, f"{prefix}vectors_")


def read_convolved(folder: Folder, prefix: str, read: Read) -> Convolved:
    """What `write_convolved` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
        ValueError: files do not fit together.
    """
    network, growth, exponent = read_network(folder, prefix)
    kept = np.float16 if folder.json(f"{prefix}network.json").get("half") else np.float32
    n_inputs = max(len(network.convolutions), 1)
    inputs = tuple(_array(folder, f"{prefix}layer{k}_inputs.npy", kept) for k in range(n_inputs))
    users = _array(folder, f"{prefix}users_content.npy")
    vectors = read(folder, f"{prefix}vectors_")
    near = read_neighborhoods(folder, prefix) if folder.has(f"{prefix}neighbor_ids.npy") else None
    return Convolved(vectors, network, inputs, growth, users, exponent, near)  # type: ignore[arg-type]


def read_network(folder: Folder, prefix: str) -> tuple[Network, Growth, float]:
    """The layers alone, what they are fed with, and the length exponent.

    Raises:
        ArtifactError: a file is missing or damaged.
        ValueError: files do not fit together.
    """
    form = folder.json(f"{prefix}network.json")
    try:
        n_layers, pooling, unit, has_head = int(form["layers"]), form["pooling"], bool(form["unit"]), form["head"]
        growth, exponent = parse(form["growth"], Growth, "growth"), float(form["length_exponent"])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise ArtifactError(f"{folder.path / f'{prefix}network.json'}: does not describe a network: {error}") from error
    if not math.isfinite(exponent):
        raise ArtifactError(f"{folder.path / f'{prefix}network.json'}: holds a number that is not finite; train again")
    if pooling not in POOLINGS:
        raise ArtifactError(f"{folder.path / f'{prefix}network.json'}: unknown pooling {pooling!r}; train again")
    layers = [Convolution(*(_array(folder, f"{prefix}layer{k}_{name}.npy") for name in LAYER)) for k in range(n_layers)]
    head = Head(*(_array(folder, f"{prefix}head_{name}.npy") for name in HEAD)) if has_head else None
    return Network(tuple(layers), head, pooling, unit), growth, exponent


def _array(folder: Folder, name: str, dtype: type[np.floating] = np.float32) -> NDArray[Any]:
    """An array of finite numbers; which shape it has to have, the dataclass that takes it says."""
    dims = 1 if name.endswith(("bias.npy", "attention.npy")) else 2
    found: NDArray[Any] = folder.array(name, dtype, *(-1,) * dims)
    if not all_finite(found):
        raise ArtifactError(f"{folder.path / name}: holds numbers that are not finite; train again")
    return found
