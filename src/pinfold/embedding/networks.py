"""PinSage's layers and their inputs as memory-mapped arrays in a folder."""

import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from pinfold.arrays import Floats
from pinfold.artifacts import Folder, FolderWriter
from pinfold.config import parse
from pinfold.errors import ArtifactError, ConfigError
from pinfold.graph.convolved import Convolution, Convolved, Growth, Head, Network
from pinfold.graph.learned import Learned

LAYER = ("neighbor", "neighbor_bias", "both", "bias", "attention")
HEAD = ("first", "bias", "second")
POOLINGS = ("importance", "mean", "max", "attention")
Write = Callable[[FolderWriter, Learned, str], None]
Read = Callable[[Folder, str], Learned]


def write_convolved(folder: FolderWriter, learned: Convolved, prefix: str, write: Write) -> None:
    """`network.json`, `layer0_both.npy` and so on, `layer0_inputs.npy`, `head_*`, and the vectors' own files."""
    network = learned.network
    form = {
        "layers": len(network.convolutions),
        "pooling": network.pooling,
        "unit": network.unit,
        "length_exponent": learned.length_exponent,
        "head": network.head is not None,
        "growth": asdict(learned.growth),
    }
    folder.json(f"{prefix}network.json", form)
    folder.array(f"{prefix}users_content.npy", learned.users)
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
    inputs = tuple(_array(folder, f"{prefix}layer{k}_inputs.npy") for k in range(max(n_layers, 1)))
    head = Head(*(_array(folder, f"{prefix}head_{name}.npy") for name in HEAD)) if has_head else None
    users = _array(folder, f"{prefix}users_content.npy")
    vectors = read(folder, f"{prefix}vectors_")
    network = Network(tuple(layers), head, pooling, unit)
    return Convolved(vectors, network, inputs, growth, users, exponent)  # type: ignore[arg-type]


def _array(folder: Folder, name: str) -> Floats:
    """An array of finite numbers; which shape it has to have, the dataclass that takes it says."""
    dims = 1 if name.endswith(("bias.npy", "attention.npy")) else 2
    found: Floats = folder.array(name, np.float32, *(-1,) * dims)
    if not np.isfinite(found).all():
        raise ArtifactError(f"{folder.path / name}: holds numbers that are not finite; train again")
    return found
