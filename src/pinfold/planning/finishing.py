"""What the end of a training needs: the index and the artifact, with the shares of events in each part of a split."""

from dataclasses import dataclass

from pinfold.index.clustering import SAMPLE
from pinfold.index.config import chosen_kind
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import BlendConfig, MemberConfig
from pinfold.planning import computed, footprint, pinsage, tables
from pinfold.planning.counts import Counts
from pinfold.planning.footprint import MB, SCORES
from pinfold.planning.speeds import Speeds
from pinfold.planning.stages import Ledger
from pinfold.planning.tables import TableConfig
from pinfold.run import RunConfig


@dataclass(frozen=True, slots=True)
class Shares:
    """How many events each part of the split has."""

    train: float
    valid: float
    test: float

    @property
    def known(self) -> float:
        """All but the test part."""
        return self.train + self.valid


def shares(run: RunConfig, edges: int) -> Shares:
    """The parts by the shares of the options; held-out and newest collections come near these."""
    split = run.split
    match split.protocol:
        case "none":
            return Shares(edges, 0, 0)
        case "files":
            return Shares(edges * (1 - split.valid_share), edges * split.valid_share, 0)
        case _:
            known = edges * (1 - split.test_share)
            return Shares(known * (1 - split.valid_share), known * split.valid_share, edges * split.test_share)


def vector_dim(model: object) -> int:
    """D of the vectors that answers search; 0 where there are none."""
    if isinstance(model, PinSageConfig):
        return model.dim
    return tables.form(model).answers if isinstance(model, TableConfig) else 0


def plan_index(run: RunConfig, counts: Counts, speeds: Speeds, ledger: Ledger) -> None:
    """Clusters, one index of lengths and one of directions, and how much they find."""
    dim = vector_dim(run.model)
    if not dim or chosen_kind(run.index, counts.items) == "exact":
        return
    unit = isinstance(run.model, PinSageConfig) and run.model.unit
    size = counts.items * (dim * run.index.bits / 8 + 8) * (1 if unit else 2)
    n_lists = run.index.lists or round(4 * counts.items**0.5)
    sample = 4.0 * dim * min(SAMPLE * n_lists, counts.items) * 2
    took = None
    if chosen_kind(run.index, counts.items) == "ivf":
        operations = 2.0 * dim * n_lists * (6 * min(SAMPLE * n_lists, counts.items) + counts.items)
        judged = 4 * 1400 * counts.items * (2.0 * dim / speeds.multiplied + 12 / speeds.touched)
        took = operations / speeds.multiplied + judged + 6 * size / speeds.touched
    passing = {"an index": size / (1 if unit else 2) * 1.3, "sample of vectors": sample, "scores": SCORES,
               "vectors at their lengths, and directions": 8.0 * counts.items * dim}  # fmt: skip
    ledger.stage("index", passing, {"kernels": footprint.KERNELS}, disk=size, seconds=took)


def plan_artifact(run: RunConfig, counts: Counts, speeds: Speeds, ledger: Ledger, parts: Shares) -> None:
    """All other files of the artifact, and the checkpoints beside it while it is made."""
    edges = parts.known if run.train.refit else parts.train
    disk = footprint.graph(edges, counts.users, counts.items) + 8 * (counts.edges - edges)
    disk += counts.users * (counts.id_bytes + counts.user_bytes) + counts.items * (counts.id_bytes + counts.item_bytes)
    members = run.model.members if isinstance(run.model, BlendConfig) else (run.model,)
    disk += MB + sum(learned_disk(model, counts, edges) for model in members)
    took = disk / speeds.written + disk / speeds.hashed
    ledger.stage("writing", {"a table": 2.0 * footprint.READING * max(counts.users, counts.items)}, disk=disk,
                 seconds=took)  # fmt: skip


def learned_disk(model: MemberConfig, counts: Counts, edges: float) -> float:
    """Files of a model, and of a checkpoint that may lie beside them."""
    if isinstance(model, PinSageConfig):
        inputs = pinsage.first_width(model, counts) + model.dim * max(model.layers - 1, 0)
        vectors = model.dim * (2 * counts.items + counts.users) + counts.user_dim * counts.users
        near = 8.0 * model.neighborhood.size * counts.items
        return 4.0 * (inputs * counts.items + vectors) + near + 20.0 * pinsage.n_parameters(model, counts)
    if isinstance(model, TableConfig):
        return tables.kept_memory(model, counts) + 5 * tables.table_bytes(model, counts)
    return computed.learned_bytes(model, counts, edges)
