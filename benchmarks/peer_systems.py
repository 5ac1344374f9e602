"""The systems that lightgcn_peers.py compares, and what they share.

Imported in environments that have numpy, torch and the one system; only the class of Pinfold imports Pinfold.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class World:
    """What all share, from the folder that lightgcn_peers.py wrote: edges, start vectors, batches, settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((folder / "settings.json").read_text())
        arrays = np.load(folder / "world.npz", allow_pickle=False)
        self.edge_users, self.edge_items = arrays["edge_users"], arrays["edge_items"]  # (E,)
        self.start_users, self.start_items = arrays["start_users"], arrays["start_items"]  # (U, D), (I, D)
        self.n_users, self.n_items = len(self.start_users), len(self.start_items)
        self._ptr, self._batches = arrays["batch_ptr"], arrays["batches"]  # (steps + 1,), (3, all examples)

    def batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Users, positives and negatives of a step, each (B,) and of 64 bits."""
        part = self._batches[:, self._ptr[number] : self._ptr[number + 1]].astype(np.int64)
        return torch.from_numpy(part[0]), torch.from_numpy(part[1]), torch.from_numpy(part[2])

    def start(self) -> Tensor:
        """Start vectors of users and then items, (U + I, D)."""
        return torch.from_numpy(np.concatenate([self.start_users, self.start_items]))

    def both_directions(self) -> Tensor:
        """Every edge from user to item and back, items numbered after the users: (2, 2E)."""
        users = torch.from_numpy(self.edge_users.astype(np.int64))
        items = torch.from_numpy(self.edge_items.astype(np.int64)) + self.n_users
        return torch.stack([torch.cat([users, items]), torch.cat([items, users])])

    def normalized(self) -> Tensor:
        """D^-1/2 A D^-1/2 as a coalesced COO tensor (U + I, U + I)."""
        edges, n = self.both_directions(), self.n_users + self.n_items
        scale = torch.bincount(edges[0], minlength=n).double().rsqrt()
        weights = (scale[edges[0]] * scale[edges[1]]).float()
        return torch.sparse_coo_tensor(edges, weights, (n, n)).coalesce()


class System(Protocol):
    """What is measured."""

    def prepare(self, number: int) -> Any:
        """The batch of a step in the system's own form; not timed."""
        ...

    def step(self, batch: Any) -> float:
        """Forward, backward, update; the loss."""
        ...

    def draw_epoch(self) -> float | None:
        """Seconds to make all batches of an epoch, negatives included; None where the system has no way of its own."""
        ...


class Pinfold:
    """Pinfold's model, batches and optimizer, as its training loop uses them."""

    def __init__(self, world: World) -> None:
        from lightgcn_peers import build_model, epochs_of_batches
        from pinfold.data.dataset import load_dataset
        from pinfold.graph.bipartite import build_graph

        self.model = build_model(build_graph(load_dataset(Path(world.settings["train"])).interactions))
        self.optimizer = torch.optim.Adam(self.model.module().parameters(), lr=world.settings["rate"], fused=True)
        self.given = epochs_of_batches(self.model)
        self.epoch = 10**6  # of draw_epoch, far from those that are learned from

    def prepare(self, number: int) -> Any:  # noqa: ARG002 - they come in order
        """The next batch; the same that lightgcn_peers.py wrote down."""
        return next(self.given)

    def step(self, batch: Any) -> float:
        """As in training/loop.py."""
        self.optimizer.zero_grad()
        loss = self.model.loss(batch)
        value = loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return value

    def draw_epoch(self) -> float:
        """Seconds of a pass over `batches`."""
        self.epoch += 1
        started = time.perf_counter()
        for _ in self.model.batches(np.random.default_rng(self.epoch)):
            pass
        return time.perf_counter() - started


class PyG:
    """torch_geometric.nn.LightGCN with an edge index, as its documentation trains it."""

    def __init__(self, world: World) -> None:
        from torch_geometric.nn import LightGCN

        self.world = world
        start = world.start()
        self.net = LightGCN(len(start), start.shape[1], world.settings["n_layers"], **self.options())
        with torch.no_grad():
            self.net.embedding.weight.copy_(start)
        self.edges = self.adjacency()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=world.settings["rate"])

    def options(self) -> dict[str, Any]:
        """Of its convolutions."""
        return {}

    def adjacency(self) -> Tensor:
        """What its forward pass is given."""
        return self.world.both_directions()

    def prepare(self, number: int) -> Any:
        """Pairs (2, 2B), the positive ones first, and all their nodes."""
        users, positives, negatives = self.world.batch(number)
        positives, negatives = positives + self.world.n_users, negatives + self.world.n_users
        pairs = torch.stack([torch.cat([users, users]), torch.cat([positives, negatives])])
        return pairs, torch.cat([users, positives, negatives])

    def step(self, batch: Any) -> float:
        """As in its documentation. Its L2 is not halved: half of ours is the same."""
        pairs, nodes = batch
        self.optimizer.zero_grad()
        good, bad = self.net(self.edges, pairs).chunk(2)
        loss = self.net.recommendation_loss(good, bad, node_id=nodes, lambda_reg=self.world.settings["l2"] / 2)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def draw_epoch(self) -> None:
        """It has no negatives of its own."""


class PyGSparse(PyG):
    """The same with what its documentation advises for memory: a sparse CSR matrix, normalized once."""

    def options(self) -> dict[str, Any]:
        """The matrix is normalized already."""
        return {"normalize": False}

    def adjacency(self) -> Tensor:
        """Symmetric, so that it is its own transpose."""
        return self.world.normalized().to_sparse_csr()


class RecBole:
    """RecBole's LightGCN on its own Dataset, Interactions and TrainDataLoader, stepped as its Trainer does.

    The edges go through an atomic file `gowalla.train.inter`, unfiltered. RecBole numbers users and items anew;
    start vectors and batches are renumbered with it. It needs numpy<2, scipy<1.13 and pandas<3.
    """

    def __init__(self, world: World) -> None:
        from recbole.config import Config
        from recbole.data import create_dataset
        from recbole.data.dataloader import TrainDataLoader
        from recbole.model.general_recommender.lightgcn import LightGCN
        from recbole.sampler import Sampler

        self.world = world
        self.config = Config(model="LightGCN", dataset="gowalla", config_dict=self._settings())
        self._write_atomic_file()
        (data,) = create_dataset(self.config).build()
        self.user_ids, self.item_ids = (
            torch.from_numpy(data.token2id(field, [str(row) for row in range(n)]))
            for field, n in (("user_id", world.n_users), ("item_id", world.n_items))
        )
        self.loader = TrainDataLoader(self.config, data, Sampler(["train"], [data]).set_phase("train"), shuffle=True)
        self.net = LightGCN(self.config, data)
        with torch.no_grad():
            self.net.user_embedding.weight[self.user_ids] = torch.from_numpy(world.start_users)
            self.net.item_embedding.weight[self.item_ids] = torch.from_numpy(world.start_items)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=world.settings["rate"])

    def prepare(self, number: int) -> Any:
        """Our batch as an Interaction."""
        from recbole.data.interaction import Interaction

        users, positives, negatives = self.world.batch(number)
        return Interaction(
            {
                "user_id": self.user_ids[users],
                "item_id": self.item_ids[positives],
                "neg_item_id": self.item_ids[negatives],
            }
        )

    def step(self, batch: Any) -> float:
        """As in recbole/trainer/trainer.py, `_train_epoch`, without its scaler, which does nothing on a CPU."""
        self.optimizer.zero_grad()
        loss = self.net.calculate_loss(batch)
        value = float(loss.item())
        loss.backward()
        self.optimizer.step()
        return value

    def draw_epoch(self) -> float:
        """Seconds of a pass over its TrainDataLoader."""
        started = time.perf_counter()
        for _ in self.loader:
            pass
        return time.perf_counter() - started

    def _settings(self) -> dict[str, Any]:
        given = self.world.settings
        return {
            "data_path": str(self.world.folder),
            "checkpoint_dir": str(self.world.folder / "saved"),
            "benchmark_filename": ["train"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "embedding_size": self.world.start_users.shape[1],
            "n_layers": given["n_layers"],
            "reg_weight": given["l2"],
            "require_pow": True,  # half the squared length over the batch size, as in the paper
            "train_batch_size": given["batch_size"],
            "learning_rate": given["rate"],
            "use_gpu": False,
            "show_progress": False,
        }

    def _write_atomic_file(self) -> None:
        folder = self.world.folder / "gowalla"
        folder.mkdir(exist_ok=True)
        edges = np.stack([self.world.edge_users, self.world.edge_items], axis=1)
        header = "user_id:token\titem_id:token"
        np.savetxt(folder / "gowalla.train.inter", edges, fmt="%d", delimiter="\t", header=header, comments="")


class Coo:
    """RecBole's form of the model and nothing else: torch.sparse.mm with a COO matrix, layer after layer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.matrix = world.normalized()
        self.table = torch.nn.Parameter(world.start())
        self.optimizer = torch.optim.Adam([self.table], lr=world.settings["rate"])

    def prepare(self, number: int) -> Any:
        """Rows of the table: (3, B)."""
        users, positives, negatives = self.world.batch(number)
        return torch.stack([users, positives + self.world.n_users, negatives + self.world.n_users])

    def step(self, batch: Any) -> float:
        """LightGCN eq. 15 with the mean of all layers."""
        self.optimizer.zero_grad()
        layers: list[Tensor] = [self.table]
        for _ in range(self.world.settings["n_layers"]):
            layers.append(torch.sparse.mm(self.matrix, layers[-1]))
        users, positives, negatives = torch.stack(layers, dim=1).mean(dim=1)[batch]
        gain = (users * positives).sum(dim=1) - (users * negatives).sum(dim=1)
        half_square = self.table[batch].square().sum() / (2 * batch.shape[1])
        loss = -logsigmoid(gain).mean() + self.world.settings["l2"] * half_square
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def draw_epoch(self) -> None:
        """It has no negatives of its own."""


SYSTEMS: dict[str, Callable[[World], System]] = {
    "pinfold": Pinfold,
    "pyg": PyG,
    "pyg-sparse": PyGSparse,
    "recbole": RecBole,
    "coo": Coo,
}
