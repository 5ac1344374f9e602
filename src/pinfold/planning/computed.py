"""What models without training need. Seconds are said only where a formula has been measured."""

from collections.abc import Callable

from pinfold.models.chebycf import ChebyCFConfig
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.ease import EASEConfig, needed_memory
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import BLOCK, ItemKNNConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.rp3beta import RP3betaConfig
from pinfold.models.shelf import ComputedConfig
from pinfold.models.slim import SLIMConfig
from pinfold.models.walk import WalkConfig
from pinfold.planning.counts import Counts
from pinfold.planning.speeds import Speeds

NEIGHBOR = 8  # bytes: an item and a weight
STACKED = 3  # copies of the nearest while blocks become one matrix, and that is turned
CANDIDATE = 48  # bytes of a pair of items that share users, while a block is computed
FILTER = 64  # bytes an edge of the normalized graph, as a double, both ways
GROWN = 4  # how many times more a random user of an item has than a random user


def learned_bytes(config: ComputedConfig, counts: Counts, edges: float) -> float:
    """What the model leaves in memory."""
    match config:
        case PopularityConfig():
            return 8.0 * counts.items
        case ItemKNNConfig() | RP3betaConfig():
            return float(NEIGHBOR * counts.items * min(config.n_neighbors, counts.items))
        case SLIMConfig():
            return float(NEIGHBOR * counts.items * min(config.n_candidates, counts.items))
        case WalkConfig():
            return float(NEIGHBOR * counts.items * min(config.size, counts.items))
        case EASEConfig():
            return 4.0 * counts.items**2
        case GFCFConfig() | ChebyCFConfig():
            return FILTER / 2 * edges + 4.0 * counts.items * config.n_factors
        case ContentKNNConfig():
            return 4.0 * (counts.users + 2 * counts.items) * counts.item_dim


def passing_bytes(config: ComputedConfig, counts: Counts, edges: float) -> float:
    """What it takes on the way, beside what it leaves."""
    left = learned_bytes(config, counts, edges)
    match config:
        case ItemKNNConfig() | RP3betaConfig() | SLIMConfig():
            near = min(GROWN * (edges / max(counts.items, 1)) * (edges / max(counts.users, 1)), counts.items)
            return (STACKED - 1) * left + CANDIDATE * near * min(BLOCK, counts.items)
        case EASEConfig():
            return needed_memory(counts.items) - left
        case GFCFConfig() | ChebyCFConfig():
            return FILTER / 2 * edges + 8.0 * 2 * (counts.users + counts.items) * config.n_factors
        case WalkConfig():
            return 2 * left
        case _:
            return left


def seconds(config: ComputedConfig, counts: Counts, speeds: Speeds) -> float | None:
    """How long it takes, where that is known from the sizes alone; what two items share depends on the graph."""
    formulas: dict[type, Callable[[], float]] = {
        PopularityConfig: lambda: counts.items / speeds.touched,
        EASEConfig: lambda: 2.0 * counts.items**3 / speeds.multiplied,
    }
    if isinstance(config, WalkConfig) and config.method == "walks":
        return counts.items * config.steps / speeds.walk_steps
    known = formulas.get(type(config))
    return None if known is None else known()
