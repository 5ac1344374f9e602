"""What models with a vector for each user and item need: MF, LightGCN, NGCF, GCN, SGC."""

from dataclasses import dataclass

from pinfold.models.gcn import GCNConfig, SGCConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.ngcf import NGCFConfig
from pinfold.models.propagation import NORMALIZATIONS
from pinfold.planning.counts import Counts
from pinfold.planning.footprint import MB
from pinfold.planning.pinsage import distinct
from pinfold.planning.speeds import Speeds

TableConfig = MFConfig | LightGCNConfig | NGCFConfig | GCNConfig | SGCConfig
CONSTANT = 30 * MB  # of a step, whatever its size
LOGITS = 6.0  # tables (R, N) of a loss
LAYER = 5.5  # tables (U + I, D) of a layer with transforms: what it gathers, makes, drops, and its gradients
OPTIMIZED = 3  # gradients, and Adam's two means
ADJACENCY = 32  # bytes an edge of both directions: ids of 4 and 8 bytes, a weight
NORMALIZING = 32  # bytes an edge while its weight is computed


@dataclass(frozen=True, slots=True)
class Form:
    """What of a model's options decides what it needs."""

    dim: int  # D
    layers: int  # K; 0: no graph in a step
    transforms: bool
    answers: int  # length of the vectors that answers use
    directions: int  # adjacencies: A, and A' where that is another


def form(config: TableConfig) -> Form:
    """The form of a model."""
    match config:
        case MFConfig():
            return Form(config.dim, 0, False, config.dim, 0)
        case LightGCNConfig():
            left, right = NORMALIZATIONS[config.normalization]
            return Form(config.dim, config.n_layers, False, config.dim, 1 if left == right else 2)
        case SGCConfig():
            return Form(config.dim, config.n_layers, True, config.dim, 1)
        case NGCFConfig() | GCNConfig():
            sizes = config.layer_sizes
            return Form(config.dim, len(sizes), True, config.dim + sum(sizes), 1)


def table_bytes(config: TableConfig, counts: Counts) -> float:
    """One vector for each user and item."""
    return 4.0 * (counts.users + counts.items) * config.dim


def batch(config: TableConfig, counts: Counts, edges: float) -> tuple[float, float, float]:
    """Rows R and edges of a batch, and negatives N of a row."""
    sampling = config.objective.sampling
    of_user = edges / max(counts.users, 1)
    by_users = sampling.batch_by == "users"
    rows = min(sampling.batch_size, counts.users if by_users else edges)
    return rows, rows * of_user if by_users else rows, min(sampling.n_negatives, counts.items)


def n_batches(config: TableConfig, counts: Counts, edges: float) -> int:
    """Steps in an epoch."""
    rows = counts.users if config.objective.sampling.batch_by == "users" else edges
    return int(-(-rows // config.objective.sampling.batch_size))


def step_memory(config: TableConfig, counts: Counts, edges: float) -> tuple[float, float]:
    """Bytes of a step beside parameters, optimizer and adjacency, and of these what the heap keeps."""
    own, table = form(config), table_bytes(config, counts)
    rows, positives, negatives = batch(config, counts, edges)
    sampling = config.objective.sampling
    shared = sampling.shared or sampling.negatives in ("in-batch", "mixed")
    loss = LOGITS * 4 * rows * negatives * (1 if shared else config.dim / 8)
    reached = rows + distinct(positives, counts.items) + negatives
    vectors = 10 * 4 * reached * own.answers
    if not own.layers:
        layers = 0.0
    elif own.transforms:
        layers = LAYER * table * own.layers
    else:
        layers = table * (2 * min(own.layers - 1, 1) + 3)
    return CONSTANT + loss + vectors + layers, CONSTANT + loss + vectors


def resident(config: TableConfig, counts: Counts, edges: float) -> dict[str, float]:
    """What stays in memory from step to step."""
    own, table = form(config), table_bytes(config, counts)
    graph = own.directions * (ADJACENCY * edges + 16 * (counts.users + counts.items))
    return {"parameters": table, "optimizer's tables": OPTIMIZED * table, "normalized graph": graph}


def step_seconds(config: TableConfig, counts: Counts, edges: float, speeds: Speeds) -> float:
    """One batch: layers over the whole graph forward and backward, the loss, Adam over all parameters."""
    own, table = form(config), table_bytes(config, counts)
    rows, positives, negatives = batch(config, counts, edges)
    full = max(2 * own.layers - 1, 0)  # the last layer forward is of the batch's rows alone
    gathered = 2 * 4.0 * edges * config.dim * full
    touched = OPTIMIZED * 2 * table + table * 3 * full + LOGITS * 4 * rows * negatives
    operations = 3 * 2.0 * rows * negatives * own.answers
    if own.transforms:
        operations += 3 * 2 * 2 * table / 4 * config.dim * own.layers
        touched += LAYER * table * own.layers
    gathered += 6 * 4 * (rows + positives + negatives) * own.answers
    return operations / speeds.multiplied + gathered / speeds.gathered + touched / speeds.touched


def embed_memory(config: TableConfig, counts: Counts) -> float:
    """Vectors of all, and what newcomers need."""
    own = form(config)
    return 4.0 * (counts.users + counts.items) * (own.answers * 2 + config.dim * 2 * max(own.layers, 1))


def kept_memory(config: TableConfig, counts: Counts) -> float:
    """What is left of that when it is done: vectors, and sources of every layer for newcomers."""
    own = form(config)
    return 4.0 * (counts.users + counts.items) * (own.answers + config.dim * 1.5)
