"""What training and applying PinSage needs: how many items a batch reaches, and what they weigh."""

from dataclasses import dataclass

import numpy as np

from pinfold.models.pinsage import WINDOW, PinSageConfig
from pinfold.planning.counts import Counts
from pinfold.planning.footprint import MB
from pinfold.planning.speeds import Speeds
from pinfold.sampling.item_pairs import ALONE

SKEW = 0.6  # the item of rank r is met in proportion to r ** -SKEW, in batches and as a neighbor
HEAP = 32 * MB  # larger tensors go back to the system when they are freed, see training.memory
AHEAD = 2.5  # batches that are ready or being made beside the one at hand
CONSTANT = 48 * MB  # of a step, whatever its size
# Tensors of a convolution that are alive at once, or that the heap keeps: messages (C, M), inputs (C, W), and of the
# rows that are made (R, M) and (R, D'). First where the heap keeps them, then where they are returned when freed.
KEPT = (4.3, 1.25, 2.0, 3.3)
RETURNED = (4.0, 1.25, 1.2, 1.2)
LOGITS = 6.3  # tables (B, N) of a loss
PASSES = 3  # forward, and two products backward


@dataclass(frozen=True, slots=True)
class Reach:
    """The nodes and edges of a batch's convolutions, the first one first."""

    rows: tuple[float, ...]  # R of each
    columns: tuple[float, ...]  # C of each
    edges: tuple[float, ...]
    pairs: int  # B
    negatives: float  # N, hard ones too

    @property
    def block_bytes(self) -> float:
        """Both directions of all convolutions: an id of 8 bytes and a weight of 4 an edge, and pointers."""
        return sum(24 * e + 8 * (r + c) for r, c, e in zip(self.rows, self.columns, self.edges, strict=True))


def distinct(draws: float, n: int) -> float:
    """How many of n things are met in so many draws by rank ** -SKEW."""
    share = (np.arange(1000) + 0.5) / 1000
    return float(n * np.mean(1 - np.exp(-draws / max(n, 1) * (1 - SKEW) * share**-SKEW)))


def reach(config: PinSageConfig, counts: Counts) -> Reach:
    """What a whole batch of the last epoch touches."""
    n, negatives = counts.items, config.negatives
    own = 1 if negatives.shared or negatives.negatives in ("in-batch", "mixed") else negatives.batch_size
    drawn = 0 if negatives.negatives == "in-batch" else min(negatives.n_negatives, n) * own
    seeds = distinct((1 + asking(config, counts)) * negatives.batch_size, n)
    evenly = drawn + negatives.hard * negatives.batch_size
    seeds += (n - seeds) * (1 - np.exp(-evenly / max(n, 1)))
    size = min(config.neighborhood.size, max(n - 1, 0))
    levels = [seeds]
    for _ in range(config.layers):
        levels.append(max(levels[-1], distinct(levels[-1] * (size + 1), n)))
    rows, columns = tuple(reversed(levels[:-1])), tuple(reversed(levels[1:]))
    of_pair = float(min(negatives.n_negatives, n))
    if negatives.negatives in ("in-batch", "mixed"):
        positives = distinct(negatives.batch_size, n)
        of_pair = positives + (n - positives) * drawn / max(n, 1)
    return Reach(rows, columns, tuple(size * r for r in rows), negatives.batch_size, of_pair + negatives.hard)


def asking(config: PinSageConfig, counts: Counts) -> float:
    """How many items a query has in the mean, at most; who has many items asks more often."""
    if config.pairs.source == "file" or config.pairs.history == 1:
        return 1.0
    enough = 2 * max(counts.edges / max(counts.users, 1) - 2, 0)
    return 1 + (1 - ALONE) * min(config.pairs.history / 2, enough)


def widths(config: PinSageConfig, counts: Counts) -> list[int]:
    """The lengths of the inputs of every convolution, and of the head."""
    return [first_width(config, counts), *([config.dim] * config.layers)]


def first_width(config: PinSageConfig, counts: Counts) -> int:
    """Content, whether anybody took the item and how many did, what its collections are like, its own vector."""
    return counts.item_dim + 2 + (counts.user_dim if config.collections else 0) + config.ids


def step_memory(config: PinSageConfig, counts: Counts) -> tuple[float, float]:
    """Bytes that a step takes at the most, and of these what the heap keeps when training has ended."""
    found, wide = reach(config, counts), widths(config, counts)
    total = kept = CONSTANT + 0.0
    for k, (rows, columns) in enumerate(zip(found.rows, found.columns, strict=True)):
        sizes = (columns * config.hidden, columns * wide[k], rows * config.hidden, rows * config.dim)
        for place, size in enumerate(4 * one for one in sizes):
            if size < HEAP:
                total += KEPT[place] * size
                kept += KEPT[place] * size
            elif k == 0:  # of later convolutions they are gone when the first one's gradients are made
                total += RETURNED[place] * size
    of_loss = LOGITS * 4 * found.pairs * found.negatives
    batches = (1 + AHEAD) * found.block_bytes
    return total + of_loss + batches, kept + of_loss


def step_seconds(config: PinSageConfig, counts: Counts, speeds: Speeds) -> float:
    """One batch: products, rows gathered and scattered, arithmetic on large tables."""
    found, wide = reach(config, counts), widths(config, counts)
    operations = 2.0 * found.pairs * found.negatives * config.dim
    gathered = touched = 0.0
    for k, (rows, columns, edges) in enumerate(zip(found.rows, found.columns, found.edges, strict=True)):
        operations += 2 * (columns * wide[k] * config.hidden + rows * (wide[k] + config.hidden) * config.dim)
        gathered += 2 * 4 * edges * config.hidden
        touched += 4 * (6 * columns * config.hidden + 2 * columns * wide[k] + 8 * rows * config.dim)
    touched += 4 * LOGITS * found.pairs * found.negatives
    return PASSES * operations / speeds.multiplied + gathered / speeds.gathered + touched / speeds.touched


def window_bytes(config: PinSageConfig, counts: Counts) -> float:
    """Candidates for hard negatives."""
    return 4.0 * WINDOW * counts.items if config.negatives.hard else 0.0


def embed_seconds(config: PinSageConfig, counts: Counts, speeds: Speeds) -> float:
    """All items, layer by layer."""
    wide = widths(config, counts)
    operations = 2.0 * counts.items * 2 * config.dim**2
    gathered = 0.0
    for k in range(config.layers):
        operations += 2.0 * counts.items * (wide[k] * config.hidden + (wide[k] + config.hidden) * config.dim)
        gathered += 4.0 * counts.items * config.neighborhood.size * config.hidden
    return operations / speeds.multiplied + gathered / speeds.gathered


def n_parameters(config: PinSageConfig, counts: Counts) -> float:
    """Numbers that are learned."""
    wide = widths(config, counts)
    layers = sum(w * config.hidden + (w + config.hidden) * config.dim for w in wide[:-1])
    return layers + 2.0 * config.dim**2 + counts.items * config.ids
