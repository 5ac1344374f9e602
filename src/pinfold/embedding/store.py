"""Learned vectors and similarities as memory-mapped arrays in a folder. No torch in this file."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from pinfold.arrays import Embeddings, Floats, Takers, all_finite
from pinfold.artifacts import Folder, FolderWriter
from pinfold.config import parse
from pinfold.embedding.networks import read_convolved, write_convolved
from pinfold.errors import ArtifactError, ConfigError
from pinfold.graph.bipartite import read_csr, write_csr
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layer, Layered, Learned


def write_learned(folder: FolderWriter, learned: Learned, prefix: str = "") -> None:
    """`user_vectors.npy`, `item_vectors.npy`, and `history_vectors.npy`, `taker_*`, `fold_in.json` or `layer*`.

    Interests: `item_vectors.npy`, `interest_*` and `interests.json`. What learns no vectors: `similarity_*`, `dense_*`,
    `filter_*`. A blend: `blend.json`, and each member's files with `member0_` and so on before their names.
    """
    match learned:
        case Convolved():
            write_convolved(folder, learned, prefix, write_learned)
        case Embeddings():
            folder.array(f"{prefix}user_vectors.npy", learned.users)
            folder.array(f"{prefix}item_vectors.npy", learned.items)
            folder.array(f"{prefix}history_vectors.npy", learned.history)
            _write_fold_in(folder, learned, prefix)
        case Layered():
            _write_layered(folder, learned, prefix)
        case Interests():
            _write_interests(folder, learned, prefix)
        case ItemSimilarity():
            write_csr(folder, f"{prefix}similarity", learned.weights)
        case DenseSimilarity():
            folder.array(f"{prefix}dense_weights.npy", learned.weights)
        case GraphFilter():
            write_csr(folder, f"{prefix}filter_normalized", learned.normalized)
            write_csr(folder, f"{prefix}filter_transposed", learned.transposed)
            folder.array(f"{prefix}filter_coefficients.npy", learned.coefficients)
            folder.array(f"{prefix}filter_scale.npy", learned.scale)
            folder.array(f"{prefix}filter_factors.npy", learned.factors)
        case Blend():
            folder.json(f"{prefix}blend.json", {"weights": learned.weights.tolist()})
            for k, member in enumerate(learned.members):
                write_learned(folder, member, f"{prefix}member{k}_")


def read_learned(folder: Folder, prefix: str = "") -> Learned:
    """What `write_learned` wrote, memory-mapped.

    Raises:
        ArtifactError: a file is missing or does not fit the others.
    """
    try:
        if folder.has(f"{prefix}blend.json"):
            return _read_blend(folder, prefix)
        if folder.has(f"{prefix}network.json"):
            return read_convolved(folder, prefix, read_learned)
        if folder.has(f"{prefix}layers.json"):
            return _read_layered(folder, prefix)
        if folder.has(f"{prefix}interests.json"):
            return _read_interests(folder, prefix)
        if folder.has(f"{prefix}similarity_ptr.npy"):
            return ItemSimilarity(read_csr(folder, f"{prefix}similarity"))
        if folder.has(f"{prefix}dense_weights.npy"):
            return DenseSimilarity(_finite(folder, f"{prefix}dense_weights.npy"))
        if folder.has(f"{prefix}filter_scale.npy"):
            return GraphFilter(
                read_csr(folder, f"{prefix}filter_normalized"),
                read_csr(folder, f"{prefix}filter_transposed"),
                folder.array(f"{prefix}filter_coefficients.npy", np.float32, -1),
                folder.array(f"{prefix}filter_scale.npy", np.float32, -1),
                folder.array(f"{prefix}filter_factors.npy", np.float32, -1, -1),
            )
        users, items, history = (_finite(folder, f"{prefix}{name}_vectors.npy") for name in ("user", "item", "history"))
        exponent, takers = _read_fold_in(folder, prefix)
        return Embeddings(users, items, history, exponent, takers)
    except ValueError as error:
        raise ArtifactError(f"{folder.path}: its vectors do not fit together: {error}") from error


def _read_blend(folder: Folder, prefix: str) -> Blend:
    try:
        weights = np.array(folder.json(f"{prefix}blend.json")["weights"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder.path / (prefix + 'blend.json')}: holds no list of weights: {error}") from error
    if weights.ndim != 1 or not np.isfinite(weights).all():
        raise ArtifactError(f"{folder.path / (prefix + 'blend.json')}: holds weights that are no finite numbers")
    return Blend(tuple(read_learned(folder, f"{prefix}member{k}_") for k in range(len(weights))), weights)


def _write_fold_in(folder: FolderWriter, learned: Embeddings, prefix: str) -> None:
    exponents = {"history": learned.history_exponent}
    if learned.takers is not None:
        folder.array(f"{prefix}taker_vectors.npy", learned.takers.items)
        folder.array(f"{prefix}taker_history.npy", learned.takers.history)
        if learned.takers.mapping is not None:
            folder.array(f"{prefix}taker_mapping.npy", learned.takers.mapping)
        exponents |= {"taker": learned.takers.item_exponent, "taker_history": learned.takers.history_exponent}
    folder.json(f"{prefix}fold_in.json", {"exponents": exponents})


def _read_fold_in(folder: Folder, prefix: str) -> tuple[float, Takers | None]:
    """How users come after training, beside their history, and how items do."""
    if not folder.has(f"{prefix}fold_in.json"):  # written before there was one
        return 0.0, None
    named = folder.json(f"{prefix}fold_in.json")
    new_items = folder.has(f"{prefix}taker_vectors.npy")
    try:
        exponents = {name: float(value) for name, value in named["exponents"].items()}
        numbers = [exponents[name] for name in ("history", "taker", "taker_history")[: 3 if new_items else 1]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder.path / f'{prefix}fold_in.json'}: does not say how rows are added: {error}"
        ) from error
    if not all(map(math.isfinite, numbers)):
        raise ArtifactError(f"{folder.path / f'{prefix}fold_in.json'}: holds numbers that are not finite; train again")
    if not new_items:
        return numbers[0], None
    items, history = (_finite(folder, f"{prefix}taker_{name}.npy") for name in ("vectors", "history"))
    return numbers[0], Takers(items, history, numbers[1], numbers[2], _read_mapping(folder, prefix))


def _read_mapping(folder: Folder, prefix: str) -> Floats | None:
    name = f"{prefix}taker_mapping.npy"
    return _finite(folder, name) if folder.has(name) else None


def _write_layered(folder: FolderWriter, learned: Layered, prefix: str) -> None:
    folder.array(f"{prefix}user_vectors.npy", learned.users)
    folder.array(f"{prefix}item_vectors.npy", learned.items)
    for name, layers in (("layer", learned.layers), ("taker_layer", learned.takers)):
        for k, layer in enumerate(layers):
            folder.array(f"{prefix}{name}{k}_items.npy", layer.items)
            folder.array(f"{prefix}{name}{k}_weights.npy", layer.weights)
            folder.array(f"{prefix}{name}{k}_bias.npy", layer.bias)
    if learned.mapping is not None:
        folder.array(f"{prefix}taker_mapping.npy", learned.mapping)
    names = ("exponent", "self_loops", "concatenated", "unit_layers", "sent_exponent")
    form = {name: getattr(learned, name) for name in names}
    folder.json(f"{prefix}layers.json", form | {"slopes": [layer.slope for layer in learned.layers]})


def _read_layered(folder: Folder, prefix: str) -> Layered:
    form = folder.json(f"{prefix}layers.json")
    try:
        slopes, exponent = [float(slope) for slope in form["slopes"]], float(form["exponent"])
        sent = float(form.get("sent_exponent", 0))
        loops, concatenated, unit = (bool(form[name]) for name in ("self_loops", "concatenated", "unit_layers"))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder.path / f'{prefix}layers.json'}: does not say how layers are passed: {error}"
        ) from error
    if not all(map(math.isfinite, (*slopes, exponent, sent))):
        raise ArtifactError(f"{folder.path / f'{prefix}layers.json'}: holds numbers that are not finite; train again")
    layers = _read_layers(folder, f"{prefix}layer", slopes)
    new_items = folder.has(f"{prefix}taker_layer0_items.npy")
    takers = _read_layers(folder, f"{prefix}taker_layer", slopes) if new_items else ()
    users, items = _finite(folder, f"{prefix}user_vectors.npy"), _finite(folder, f"{prefix}item_vectors.npy")
    mapping = _read_mapping(folder, prefix)
    return Layered(users, items, layers, exponent, loops, concatenated, unit, takers, sent, mapping)


def _read_layers(folder: Folder, name: str, slopes: Sequence[float]) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            _finite(folder, f"{name}{k}_items.npy"),
            _finite(folder, f"{name}{k}_weights.npy", -1, -1, -1),
            _finite(folder, f"{name}{k}_bias.npy", -1),
            slope,
        )
        for k, slope in enumerate(slopes)
    )


def _write_interests(folder: FolderWriter, learned: Interests, prefix: str) -> None:
    folder.array(f"{prefix}item_vectors.npy", learned.items)
    for name in ("ptr", "medoids", "importance"):
        folder.array(f"{prefix}interest_{name}.npy", getattr(learned, name))
    folder.json(f"{prefix}interests.json", asdict(learned.config))


def _read_interests(folder: Folder, prefix: str) -> Interests:
    name = f"{prefix}interests.json"
    try:
        config = parse(folder.json(name), InterestsConfig, str(folder.path / name))
    except ConfigError as error:
        raise ArtifactError(f"{error}; it does not say what users are") from error
    return Interests(
        _finite(folder, f"{prefix}item_vectors.npy"),
        folder.array(f"{prefix}interest_ptr.npy", np.int64, -1),
        folder.array(f"{prefix}interest_medoids.npy", np.int32, -1),
        _finite(folder, f"{prefix}interest_importance.npy", -1),
        config,
    )


def _finite(folder: Folder, name: str, *shape: int) -> Floats:
    vectors: Floats = folder.array(name, np.float32, *(shape or (-1, -1)))
    if not all_finite(vectors):
        raise ArtifactError(f"{folder.path / name}: holds numbers that are not finite; train again")
    return vectors
