"""How near fold-in comes to retraining: users and items that a model meets only after training.

    python benchmarks/fold_in.py --data debian --models mf,lightgcn --epochs 20

The data is the bundled one or Gowalla's standard split (a FOLDER with train.txt and test.txt; the test part is not
used). For each model: hide all events of 500 users, and, apart, 200 items with at least 5 users; learn without them;
fold them in; learn with them. Printed, beside what two trainings with all events and other seeds have in common (the
ceiling; models without a seed have none):

- users: share of a hidden user's 20 recommendations that folding in and retraining agree on
- similar: share of the 20 items most like a hidden item that they agree on
- kept: of the top-20 lists in which a hidden item stands after retraining, the share in which it stands folded in
- shown: in how many top-20 lists hidden items stand folded in, over in how many after retraining

A table on stderr, JSON on stdout.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from environment import print_result
from pinfold.arrays import Ints, TopK
from pinfold.data.bundled import debian
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import Blend, Learned
from pinfold.index.interface import Recommender
from pinfold.index.recommender import recommender
from pinfold.models.shelf import (
    BlendConfig,
    ComputedConfig,
    ModelConfig,
    TrainedConfig,
    build,
    compute,
    extend,
    member_weights,
)
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train
from standard_split import load_gowalla

K = 20
LEAST_USERS = 5
MEASURES = ("users", "similar", "kept", "shown")
CONFIGS: dict[str, ModelConfig] = {member().name: member() for member in get_args(get_args(ModelConfig)[0])}


@dataclass(frozen=True, slots=True)
class World:
    """A data set whose last users and items are hidden, now these, now those."""

    whole: BipartiteGraph
    without_users: BipartiteGraph
    without_items: BipartiteGraph
    histories: Csr  # (B, I) of the hidden users
    takers: Csr  # (N, U) of the hidden items


def main() -> None:
    """Every model once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="debian")
    parser.add_argument("--models", default=",".join(CONFIGS))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path("out/gowalla"))
    arguments = parser.parse_args()
    if arguments.data == "debian":
        graph = build_graph(debian().interactions)
    else:
        graph, _ = load_gowalla(Path(arguments.data), arguments.work)
    rated = graph.user_items.to_scipy().sign()
    world = hide(rated, arguments.users, arguments.items, np.random.default_rng(0))
    found: dict[str, Any] = {}
    for name in arguments.models.split(","):
        started = time.perf_counter()
        found[name] = fidelity(CONFIGS[name], learner(CONFIGS[name], arguments.epochs), world)
        found[name]["seconds"] = time.perf_counter() - started
        print_row(name, found[name])
    print_result({key: getattr(arguments, key) for key in ("data", "epochs", "users", "items")} | {"models": found})


def learner(config: ModelConfig, epochs: int) -> Callable[[BipartiteGraph, int], Learned]:
    """Learns the model from a graph with a seed."""

    def learn(graph: BipartiteGraph, seed: int) -> Learned:
        if isinstance(config, BlendConfig):
            members = tuple(learner(member, epochs)(graph, seed) for member in config.members)
            return Blend(members, member_weights(config))
        if isinstance(config, ComputedConfig):
            return compute(config, graph)
        model = build(config, graph, seed)
        train(model, TrainConfig(epochs=epochs), seed)
        return model.embed()

    return learn


def hide(rated: sparse.csr_array, n_users: int, n_items: int, rng: np.random.Generator) -> World:
    """Random users who took something as the last rows; random items that at least 5 users took as the last columns."""
    users = _last(rng.permutation(np.flatnonzero(np.diff(rated.indptr)))[:n_users], rated.shape[0])
    counts = np.bincount(rated.indices, minlength=rated.shape[1])
    items = _last(rng.permutation(np.flatnonzero(counts >= LEAST_USERS))[:n_items], rated.shape[1])
    ordered = rated[users][:, items]
    return World(
        both(ordered), both(ordered[:-n_users]), both(ordered[:, :-n_items]),
        from_scipy(ordered[-n_users:]), from_scipy(ordered[:, -n_items:].T),
    )  # fmt: skip


def _last(hidden: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.concatenate([np.setdiff1d(np.arange(n), hidden), np.sort(hidden)])


def both(rated: sparse.csr_array) -> BipartiteGraph:
    """The graph of a matrix."""
    user_items = from_scipy(rated)
    return BipartiteGraph(user_items, user_items.transpose())


def fidelity(config: ModelConfig, learn: Callable[[BipartiteGraph, int], Learned], world: World) -> dict[str, float]:
    """Every measure, and its ceiling as `..._ceiling`."""
    people = np.arange(world.without_users.n_users, world.whole.n_users, dtype=np.int32)
    first = recommender(learn(world.whole, 0), world.whole.user_items)
    answers, similar, lists = first.recommend(people, K), *of_items(first, world)
    rest = recommender(learn(world.without_users, 2), world.without_users.user_items)
    found = {"lists": float(len(lists)), "users": overlap(answers, rest.recommend_new(world.histories, K))}
    extended = extend(config, learn(world.without_items, 2), world.without_items, world.takers)
    others = {"": recommender(extended, world.whole.user_items)}
    if isinstance(config, TrainedConfig):
        others["_ceiling"] = recommender(learn(world.whole, 1), world.whole.user_items)
        found["users_ceiling"] = overlap(answers, others["_ceiling"].recommend(people, K))
    for name, asked in others.items():
        theirs, held_too = of_items(asked, world)
        found["similar" + name] = overlap(similar, theirs)
        found["kept" + name] = len(lists & held_too) / max(len(lists), 1)
        found["shown" + name] = len(held_too) / max(len(lists), 1)
    return found


def of_items(asked: Recommender, world: World) -> tuple[TopK, set[tuple[int, int]]]:
    """What is most like each hidden item, and which hidden items stand in whose list."""
    rows = np.arange(world.without_items.n_items, world.whole.n_items, dtype=np.int32)
    everyone = np.arange(world.whole.n_users, dtype=np.int32)
    return asked.similar(rows, K), held(asked.recommend(everyone, K), int(rows[0]))


def held(found: TopK, first: int) -> set[tuple[int, int]]:
    """Which user's list holds which of the items from row `first` on."""
    users, places = np.nonzero(found.ids >= first)
    items: Ints = found.ids[users, places]
    return set(zip(users.tolist(), items.tolist(), strict=True))


def overlap(first: TopK, second: TopK) -> float:
    """Mean share of the first's items that the second has too."""
    shares = [
        len(set(a[a >= 0].tolist()) & set(b.tolist())) / max((a >= 0).sum(), 1)
        for a, b in zip(first.ids, second.ids, strict=True)
        if (a >= 0).any()
    ]
    return float(np.mean(shares))


def print_row(name: str, found: dict[str, Any]) -> None:
    """Each measure and, behind it, its ceiling."""
    cells = [f"{m} {found[m]:.3f}" + (f" ({found[c]:.3f})" if (c := f"{m}_ceiling") in found else "") for m in MEASURES]
    print(f"{name:12s} {'  '.join(cells)}  {found['seconds']:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
