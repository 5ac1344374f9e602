"""What `pinfold embed` will need for a whole data set, stage by stage: blocks in memory, everything else in files."""

from dataclasses import dataclass

from pinfold.engine.embed import USUAL
from pinfold.errors import ConfigError
from pinfold.models.pinsage import PinSageConfig
from pinfold.planning import footprint, pinsage
from pinfold.planning.counts import Counts
from pinfold.planning.finishing import plan_index
from pinfold.planning.footprint import MB
from pinfold.planning.speeds import Speeds
from pinfold.planning.stages import Ledger, Plan
from pinfold.run import RunConfig

BLOCK = 65_536  # rows, as in engine.interface.Job
SORTING = 48  # bytes an edge while a bucket is sorted, see graph.building
SPILLED = 12  # bytes an edge of bucket files, in each direction
START = 3.0  # seconds until Python has its libraries, and the artifact has been opened
NAMED = 48  # bytes of an entry while a block is joined: ids, their order, places, weights


@dataclass(frozen=True, slots=True)
class Room:
    """How the job is told to go about it."""

    memory: int = USUAL  # bytes for blocks and buffers of a worker
    half: bool = False  # layers in half precision


def plan_embedding(run: RunConfig, counts: Counts, speeds: Speeds, room: Room | None = None) -> Plan:
    """The stages of `pinfold embed` with one worker; several hold their blocks each.

    Raises:
        ConfigError: the run's model is not one that `pinfold embed` applies.
    """
    model = run.model
    if not isinstance(model, PinSageConfig) or model.ids:
        raise ConfigError(
            f"model {model.name!r}: only pinsage without vectors of items' own (model.ids = 0) can be applied to other "
            "data; plan its training, without --embed"
        )
    job = _Embedding(run, model, counts, speeds, room or Room(), Ledger())
    job.graph()
    job.layers()
    job.finish()
    notes = [*counts.notes, "the work folder's parts become the artifact's files where the file system has hard links"]
    return Plan("embed", tuple(job.ledger.stages), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Embedding:
    run: RunConfig
    model: PinSageConfig
    counts: Counts
    speeds: Speeds
    room: Room
    ledger: Ledger

    @property
    def number(self) -> int:
        """Bytes of a number of a layer on disk."""
        return 2 if self.room.half else 4

    def graph(self) -> None:
        """The graph in both directions, and neighborhoods."""
        counts, speeds, model = self.counts, self.speeds, self.model
        base = {"Python and its libraries": footprint.PYTHON, "kernels": footprint.KERNELS}
        size = footprint.graph(counts.edges, counts.users, counts.items)
        sorting = {"edges being sorted": min(SORTING * counts.edges, self.room.memory)}
        took = START + 2 * counts.edges / speeds.edges_sorted + self._files(size + 2 * SPILLED * counts.edges)
        self._map(size)
        self.ledger.stage("graph", sorting, base, disk=size, seconds=took)
        near, rows = model.neighborhood.size * 8, min(BLOCK, counts.items)
        took = counts.items * model.neighborhood.steps / speeds.walk_steps
        took += self._files(near * counts.items) + size / speeds.hashed
        found = {"neighborhoods of a block": 3.0 * rows * near}
        self._map(size)
        self.ledger.stage("neighborhoods", found, disk=near * counts.items, seconds=took)

    def layers(self) -> None:
        """Content, then project and convolve for every convolution, then vectors."""
        wide, number = pinsage.widths(self.model, self.counts), self.number
        items, model, speeds = self.counts.items, self.model, self.speeds
        letters = 2.0 * self.counts.item_bytes * items / speeds.touched
        self._map(self.counts.mapped_features + footprint.EDGE * self.counts.edges)
        self._stage("content", 3 * wide[0], wide[0] * number, 0, letters)
        near = model.neighborhood.size
        for k in range(model.layers):
            self._map(items * wide[k] * number)
            self._stage(f"project{k}", wide[k] + model.hidden, model.hidden * number, 2.0 * wide[k] * model.hidden, 0)
            operations = 2.0 * (wide[k] + model.hidden) * model.dim
            gathered = items * near * model.hidden * 4 * 2 / speeds.gathered  # named, then pooled
            at_once = near * (model.hidden + 8) + model.dim
            self._map(items * (wide[k] + model.hidden) * number + 8 * near * items)
            self._stage(f"convolve{k}", at_once, model.dim * number, operations, gathered, self._joined(at_once))
        self._map(items * model.dim * number)
        self._stage("vectors", 2 * model.dim, 4 * model.dim, 4.0 * model.dim**2, 0)

    def _map(self, size: float) -> None:
        """What a stage reads by mapping; the stage before lets go of its own."""
        libraries = footprint.LIBRARIES + footprint.DATABASE + footprint.COMPILED
        self.ledger.mapped = {"libraries": libraries, "events": footprint.EVENT * self.counts.edges, "read": size}

    def _rows(self, width: int) -> int:
        """Rows in memory at once, given how many numbers belong to one."""
        return int(min(BLOCK, self.counts.items, max(self.room.memory // (12 * width), 1)))

    def _joined(self, width: int) -> float:
        """A block of a convolution: its neighbors, named once, and what these send."""
        named = self._rows(width) * self.model.neighborhood.size
        return NAMED * named + 8.0 * pinsage.distinct(named, self.counts.items) * self.model.hidden

    def _stage(
        self, name: str, width: int, disk: int, operations: float, more: float, block: float | None = None
    ) -> None:
        """A stage over all items in blocks of rows, each of so many numbers."""
        held = {"a block": 4.0 * self._rows(width) * width if block is None else block}
        items, size = self.counts.items, float(self.counts.items * disk)
        took = items * operations / self.speeds.multiplied + self._files(size) + more + 2 * size / self.speeds.touched
        self.ledger.stage(name, held, disk=size, seconds=took)

    def finish(self) -> None:
        """Users as means, the index, the artifact."""
        counts, speeds, dim = self.counts, self.speeds, self.model.dim
        rows, size = min(BLOCK, counts.users), 4.0 * counts.users * dim
        entries = min(rows * counts.edges / max(counts.users, 1), self.room.memory / (12 * dim + 64))
        found = pinsage.distinct(entries, counts.items)
        block = {"a block of histories": 8.0 * found * dim + NAMED * entries + 8.0 * rows * dim}
        took = 3.0 * counts.edges * dim * 4 / speeds.gathered + self._files(size)
        self._map(4.0 * counts.items * dim + footprint.EDGE * counts.edges)
        self.ledger.stage("users", block, disk=size, seconds=took)
        self._map(4.0 * (2 * counts.items + counts.users) * dim)
        plan_index(self.run, counts, speeds, self.ledger)
        units = 4.0 * counts.items * dim  # beside the vectors: what histories are made of
        tables = counts.users * (counts.id_bytes + counts.user_bytes) + counts.items * (
            counts.id_bytes + counts.item_bytes
        )
        whole = sum(stage.disk for stage in self.ledger.stages) + units + tables
        took = self._files(units + tables) + whole / speeds.hashed
        self.ledger.stage("assemble", {"a block": 8.0 * min(BLOCK, counts.items) * dim}, disk=units + tables + MB,
                          seconds=took)  # fmt: skip

    def _files(self, size: float) -> float:
        """Seconds to write and seal files of so many bytes, and to check them when they are read."""
        return size / self.speeds.written + 2 * size / self.speeds.hashed
