"""EASE: a ridge regression of every item on all others, in closed form. A dense item matrix: know your memory."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack

from pinfold.arrays import Doubles, Floats
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.graph.learned import DenseSimilarity
from pinfold.memory import available_memory

BLOCK = 1024  # rows that are copied or multiplied at once


@options
class EASEConfig:
    """Steck, WWW 2019. Needs 4 bytes for each pair of items: 1.8 GB for 20,000 items, 10.6 GB for 50,000."""

    name: Literal["ease"] = "ease"
    l2: Annotated[
        float, Field(gt=0, description="how much weights shrink: added to the number of users of each item")
    ] = 100.0


def ease(config: EASEConfig, graph: BipartiteGraph) -> DenseSimilarity:
    """The weights B = I - P diag(P)^-1 with P = (X'X + l2 I)^-1: eq. 8. Repeats and event weights do not count.

    Memory: 4 I^2 bytes for the one matrix, in which everything happens, and 12 I BLOCK for the block at hand. Time:
    I^3 multiplications. Single precision: P's condition number is the largest eigenvalue of X'X over l2.

    Raises:
        ConfigError: more memory is needed than there is; l2 is too small for X'X + l2 I to be inverted.
    """
    check_memory(graph.n_items, available_memory())
    matrix = _gram(graph)
    diagonal = np.arange(graph.n_items)
    matrix[diagonal, diagonal] += config.l2
    _invert(matrix, config.l2)
    _mirror(matrix)
    matrix /= -matrix.diagonal()
    matrix[diagonal, diagonal] = 0
    return DenseSimilarity(matrix)


def extend_ease(config: EASEConfig, learned: DenseSimilarity, graph: BipartiteGraph, takers: Csr) -> DenseSimilarity:
    """The weights with N more items, taken by `takers` (N, U). Memory: 4 (I + N)^2 bytes beside the old matrix.

    What others say about a new item is its own regression, exactly as if computed afresh: by blocks, with G = X'X_new
    and the Schur complement S = X_new'X_new + l2 I - G'PG, the columns P G S^-1 / diag(S^-1) and -S^-1 / diag(S^-1).
    What it says about an old item is that weight's minimum while the others stay: x_new'(x_i - X b_i) / (n_new + l2).

    Raises:
        ConfigError: more memory is needed than there is.
    """
    n_old, n_new = graph.n_items, takers.n_rows
    check_memory(n_old + n_new, available_memory())
    old, new = graph.item_users.to_scipy().sign(), takers.to_scipy().sign()
    shared = (new @ old.T).toarray()  # (N, I)
    unexplained = shared - shared @ learned.weights  # G'(I - B)
    fitted = unexplained * _precisions(config, learned, graph)  # G'P, since P = (I - B) diag(P) is symmetric
    inverse = np.linalg.inv((new @ new.T).toarray() + config.l2 * np.eye(n_new) - fitted @ shared.T)
    weights = np.zeros((n_old + n_new, n_old + n_new), np.float32)
    weights[:n_old, :n_old] = learned.weights
    weights[:n_old, n_old:] = fitted.T @ inverse / inverse.diagonal()
    weights[n_old:, :n_old] = unexplained / (takers.degrees()[:, None] + config.l2)
    weights[n_old:, n_old:] = -inverse / inverse.diagonal()
    added = np.arange(n_old, n_old + n_new)
    weights[added, added] = 0
    return DenseSimilarity(weights)


def _precisions(config: EASEConfig, learned: DenseSimilarity, graph: BipartiteGraph) -> Doubles:
    """The diagonal (I,) of P, of which B keeps all else: 1 / P_ii = n_i + l2 - sum_j n_ij B_ji."""
    item_users = graph.item_users.to_scipy().sign()
    user_items = graph.user_items.to_scipy().sign()
    inverse = graph.item_counts() + config.l2
    for start in range(0, graph.n_items, BLOCK):
        rows = slice(start, start + BLOCK)
        shared = sparse.coo_array(item_users[rows] @ user_items)
        row, column = shared.coords
        said = shared.data.astype(np.float64) * learned.weights[column, row + start]
        inverse[rows] -= np.bincount(row, said, minlength=len(inverse[rows]))
    return 1 / inverse


def needed_memory(n_items: int) -> int:
    """Bytes that `ease` takes beside the graph."""
    return 4 * n_items**2 + 12 * n_items * min(n_items, BLOCK)


def check_memory(n_items: int, available: int | None) -> None:
    """Raise ConfigError if EASE on so many items takes more than these bytes; None: nobody knows."""
    needed = needed_memory(n_items)
    if available is not None and needed > available:
        raise ConfigError(
            f"model 'ease' on {n_items:,} items needs {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB "
            "are free; leave out rare items (data.min_item_events), or take model.name 'slim', 'gf-cf' or "
            "'item-knn', whose memory does not grow with the square of the items"
        )


def _gram(graph: BipartiteGraph) -> Floats:
    """X'X: how many users each two items share. Shape (I, I), in blocks of rows."""
    item_users = graph.item_users.to_scipy().sign()
    user_items = graph.user_items.to_scipy().sign()
    gram = np.zeros((graph.n_items, graph.n_items), np.float32)
    for start in range(0, graph.n_items, BLOCK):
        rows = slice(start, start + BLOCK)
        (item_users[rows] @ user_items).toarray(out=gram[rows])
    return gram


def _invert(matrix: Floats, l2: float) -> None:
    """Overwrite the upper triangle of a symmetric positive definite (I, I) with that of its inverse."""
    # LAPACK thinks in columns: our upper triangle is its lower one, and only so does it work in place.
    factor, failed = lapack.spotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if not failed:
        _, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ConfigError(f"model.l2 is {l2:g}, too small to invert the items' matrix in single precision; try 1")


def _mirror(matrix: Floats) -> None:
    """Overwrite the lower triangle with the upper one."""
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, start + BLOCK)
        matrix[start + BLOCK :, rows] = matrix[rows, start + BLOCK :].T
        square = np.triu(matrix[rows, rows])
        matrix[rows, rows] = square + np.triu(square, 1).T
