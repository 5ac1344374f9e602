"""BipartiteGraph: users on one side, items on the other, each with its neighbors."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Floats, Longs
from pinfold.artifacts import Folder, FolderWriter
from pinfold.data.interactions import Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.csr import Csr, from_pairs


@dataclass(frozen=True, slots=True)
class BipartiteGraph:
    """The same edges seen from both sides."""

    user_items: Csr  # (U, I)
    item_users: Csr  # (I, U)

    def __post_init__(self) -> None:
        forth = (self.user_items.n_rows, self.user_items.n_columns, len(self.user_items.ids))
        back = (self.item_users.n_columns, self.item_users.n_rows, len(self.item_users.ids))
        if forth != back:
            raise ValueError(f"user_items has (U, I, E) = {forth}, item_users {back}: must be equal")

    @property
    def n_users(self) -> int:
        """U."""
        return self.user_items.n_rows

    @property
    def n_items(self) -> int:
        """I."""
        return self.item_users.n_rows

    @property
    def n_edges(self) -> int:
        """E, each edge counted once."""
        return len(self.user_items.ids)

    def reweighted(self, weights: Floats) -> "BipartiteGraph":
        """The same edges with these weights (E,), beside `user_items.ids`."""
        edges = self.user_items
        user_items = Csr(edges.ptr, edges.ids, weights, edges.n_columns)
        return BipartiteGraph(user_items, user_items.transpose())

    def item_counts(self) -> Longs:
        """How many users took each item. Shape (I,)."""
        return self.item_users.degrees()


def build_graph(events: Interactions) -> BipartiteGraph:
    """The graph of these events; the weights of a repeated pair are summed."""
    user_items = from_pairs(events.users, events.items, events.weights, (events.n_users, events.n_items))
    return BipartiteGraph(user_items, user_items.transpose())


def write_csr(folder: FolderWriter, name: str, csr: Csr) -> None:
    """Three arrays, `name_ptr`, `name_ids` and `name_weights`, and the number of columns."""
    folder.array(f"{name}_ptr.npy", csr.ptr)
    folder.array(f"{name}_ids.npy", csr.ids)
    folder.array(f"{name}_weights.npy", csr.weights)
    folder.array(f"{name}_columns.npy", np.array([csr.n_columns], np.int64))


def read_csr(folder: Folder, name: str) -> Csr:
    """The Csr that `write_csr` wrote, memory-mapped.

    Raises:
        ArtifactError: a file is missing or its content is not a Csr.
    """
    ptr = folder.array(f"{name}_ptr.npy", np.int64, -1)
    ids = folder.array(f"{name}_ids.npy", np.int32, -1)
    weights = folder.array(f"{name}_weights.npy", np.float32, -1)
    columns = folder.array(f"{name}_columns.npy", np.int64, 1)
    try:
        return Csr(ptr, ids, weights, int(columns[0]))
    except ValueError as error:
        raise ArtifactError(f"{folder.path}: the files {name}_*.npy do not fit together: {error}") from error


def write_graph(folder: FolderWriter, graph: BipartiteGraph) -> None:
    """Both directions, so that neither has to be made again."""
    write_csr(folder, "user_items", graph.user_items)
    write_csr(folder, "item_users", graph.item_users)


def read_graph(folder: Folder) -> BipartiteGraph:
    """The graph that `write_graph` wrote, memory-mapped."""
    try:
        return BipartiteGraph(read_csr(folder, "user_items"), read_csr(folder, "item_users"))
    except ValueError as error:
        raise ArtifactError(f"{folder.path}: its graph does not fit together: {error}") from error
