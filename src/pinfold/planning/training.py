"""What `pinfold train` will need, stage by stage, from the sizes of the data and the options of the run."""

from dataclasses import dataclass, replace
from pathlib import Path

from pinfold.models.chebycf import ChebyCFConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import BlendConfig, ComputedConfig, MemberConfig, needs_content
from pinfold.planning import computed, footprint, pinsage, tables
from pinfold.planning.counts import Counts, count_lines
from pinfold.planning.finishing import Shares, plan_artifact, plan_index, shares
from pinfold.planning.footprint import EDGE, EVENT, KEYS, SCORES, SORTED
from pinfold.planning.speeds import UNMEASURED, Speeds
from pinfold.planning.stages import Ledger, Plan
from pinfold.planning.tables import TableConfig
from pinfold.run import RunConfig

START = 2.5  # seconds until Python has its libraries
PREPARED = 1.5  # and until torch has its optimizer
HEAP = "freed by training, kept by the heap"
LOOK = 5000  # pairs of items that a look at validation asks about, see fitting.N_PAIRS


def plan_training(run: RunConfig, counts: Counts, speeds: Speeds | None = None) -> Plan:
    """The stages of `pinfold train`, in one process; without `speeds` there are no seconds.

    Epochs are those of the options: patience may end training before.
    """
    job = _Training(run, counts, speeds or UNMEASURED, Ledger(), shares(run, counts.edges))
    job.load()
    members = run.model.members if isinstance(run.model, BlendConfig) else (run.model,)
    for model in members:
        alone = replace(job, run=replace(run, model=model))
        alone.fit(model, job.parts.train, "")
        if run.train.refit and job.parts.valid:
            alone.fit(model, job.parts.known, "refit: ")
    job.finish()
    notes = list(counts.notes)
    if run.train.epochs > 1 and any(not isinstance(model, ComputedConfig) for model in members):
        notes.append(f"time is for all {run.train.epochs} epochs; train.patience may end training earlier")
    if run.train.processes > 1:
        notes.append(f"each of the {run.train.processes} processes holds what is predicted for one, but for the step")
    if run.data.min_user_events or run.data.min_item_events:
        notes.append("the k-core filter leaves less than is counted here")
    plan = Plan("train", tuple(job.ledger.stages), tuple(notes))
    return plan if speeds else plan.without_seconds()


@dataclass(frozen=True, slots=True)
class _Training:
    run: RunConfig
    counts: Counts
    speeds: Speeds
    ledger: Ledger
    parts: Shares

    def load(self) -> None:
        """Ids, tables, events; the split; what validation asks."""
        counts, parts, speeds = self.counts, self.parts, self.speeds
        start = {"Python and its libraries": footprint.PYTHON, "ids": footprint.ids(counts)}
        start["attributes"] = footprint.tables(counts)
        files = {"libraries": footprint.LIBRARIES, "events": EVENT * counts.edges, "database": footprint.DATABASE}
        reading = {"rows being read": footprint.READING * max(counts.users, counts.items)}
        took = (
            START
            + 2 * (counts.users + counts.items) / speeds.ids_read
            + (EVENT * counts.edges / speeds.hashed + 3 * EVENT * counts.edges / speeds.touched)
        )
        self.ledger.stage("load data", reading, start, files, seconds=took)
        if self.run.split.protocol != "none":
            held = {"parts of the split": EVENT * (counts.edges + parts.known)}
            took = 2 * counts.edges / speeds.edges_sorted
            self.ledger.stage("split", {"order of events": SORTED * counts.edges}, held, seconds=took)
        if parts.valid:
            keys = KEYS if self.run.train.metric == "item-hit" else SORTED
            held = {"what users have": EDGE * parts.train + 8 * counts.users}
            took = 2 * parts.train / speeds.edges_sorted
            self.ledger.stage("validation questions", {"sorted keys": keys * parts.train}, held, seconds=took)

    def fit(self, model: MemberConfig, edges: float, prefix: str) -> None:
        """One model learns from so many events; a refit holds what selection held too."""
        counts, speeds, ledger = self.counts, self.speeds, self.ledger
        if needs_content(self.run.model):
            size = 4.0 * (counts.items * counts.item_dim + counts.users * counts.user_dim)
            column = 4.0 * max(counts.items * counts.item_dim, counts.users * counts.user_dim)
            letters = 4.0 * (counts.items * counts.item_bytes + counts.users * counts.user_bytes)
            mapped = {"files with features": float(counts.mapped_features)}
            took = 6 * size / speeds.touched
            passing = {"a column being encoded": column + letters}
            ledger.stage(f"{prefix}features", passing, {f"{prefix}features": size}, mapped, seconds=took)
        held = {f"{prefix}graph": footprint.graph(edges, counts.users, counts.items)}
        took = 2 * edges / speeds.edges_sorted
        ledger.stage(f"{prefix}graph", {"edges being sorted": SORTED * edges}, held, seconds=took)
        if isinstance(model, PinSageConfig):
            self._fit_pinsage(model, edges, prefix)
        elif isinstance(model, TableConfig):
            self._fit_tables(model, edges, prefix)
        elif isinstance(model, ComputedConfig):
            known = computed.seconds(model, counts, speeds)
            ledger.drop(f"what {model.name} has learned")  # a refit lets go of it before
            left = {f"what {model.name} has learned": computed.learned_bytes(model, counts, edges)}
            passing = {"matrices on the way": computed.passing_bytes(model, counts, edges)}
            left |= {"kernels": footprint.KERNELS}
            ledger.stage(f"{prefix}{model.name}", passing, left, {"compiled": footprint.COMPILED}, seconds=known)
            if not prefix and self.parts.valid:
                filters = isinstance(model, GFCFConfig | ChebyCFConfig)
                ledger.stage("validation", {"scores": SCORES / (2 if filters else 1)}, seconds=None)

    def _fit_pinsage(self, model: PinSageConfig, edges: float, prefix: str) -> None:
        counts, speeds, ledger = self.counts, self.speeds, self.ledger
        size = model.neighborhood.size
        wide = 4.0 * counts.items * pinsage.first_width(model, counts)
        near = {f"{prefix}neighborhoods": 8.0 * counts.items * size + pinsage.window_bytes(model, counts)}
        near |= {f"{prefix}first inputs": wide, "kernels": footprint.KERNELS}
        steps = model.neighborhood.steps * (1 if not model.negatives.hard else 2)
        took = counts.items * steps / speeds.walk_steps
        ledger.stage(f"{prefix}neighborhoods", {"inputs being joined": wide}, near, seconds=took)
        n = -(-self._n_pairs(model, edges) // model.negatives.batch_size)
        total, kept = pinsage.step_memory(model, counts)
        drawn = {"a batch": total, "pairs of an epoch": 48.0 * self._n_pairs(model, edges)}
        held = {"optimizer": footprint.OPTIMIZER, "parameters": 16.0 * pinsage.n_parameters(model, counts)}
        self._train(prefix, drawn, held, kept, n, pinsage.step_seconds(model, counts, speeds))
        wide_all = wide + 4.0 * counts.items * model.dim * max(model.layers - 1, 0)
        vectors = 4.0 * model.dim * (2 * counts.items + counts.users)
        passing = {"messages": 4.0 * counts.items * model.hidden, "sums of histories": 4.0 * counts.users * model.dim}
        took = pinsage.embed_seconds(model, counts, speeds) + edges * model.dim * 4 / speeds.gathered
        self._look(prefix, {**passing, "vectors and inputs of all": wide_all + vectors}, model.dim, took)
        ledger.drop("vectors and inputs of all")
        left = {"vectors and inputs of all": wide_all + vectors}
        ledger.stage(f"{prefix}embedding", passing, left, seconds=took)

    def _fit_tables(self, model: TableConfig, edges: float, prefix: str) -> None:
        counts, speeds, ledger = self.counts, self.speeds, self.ledger
        total, kept = tables.step_memory(model, counts, edges)
        held = {f"{prefix}{name}": size for name, size in tables.resident(model, counts, edges).items()}
        n = tables.n_batches(model, counts, edges)
        step = tables.step_seconds(model, counts, edges, speeds)
        sorting = {"a batch": total, "graph being normalized": tables.form(model).directions * 32.0 * edges}
        self._train(prefix, sorting, held | {"optimizer": footprint.OPTIMIZER}, kept, n, step)
        vectors = tables.embed_memory(model, counts)
        took = 4 * vectors / speeds.touched
        self._look(prefix, {"vectors of all": vectors}, tables.form(model).answers, took)
        left = {"vectors of all": tables.kept_memory(model, counts)}
        ledger.stage(f"{prefix}embedding", {"layers": vectors}, left, seconds=took)

    def _train(
        self, prefix: str, passing: dict[str, float], held: dict[str, float], kept: float, n: float, step: float
    ) -> None:
        """All epochs; what the heap keeps stays."""
        epochs, libraries = self.run.train.epochs, {"torch": float(footprint.TRAINING)}
        took = PREPARED + epochs * n * step
        told = f"{epochs} x {n:,.0f} steps of {step:.3g} s"
        self.ledger.stage(f"{prefix}training", passing, held, libraries, seconds=took, repeats=told)
        self.ledger.held[HEAP] = kept

    def _look(self, prefix: str, passing: dict[str, float], dim: int, embedding: float) -> None:
        """Looks at the validation part, of which a refit has none."""
        if prefix or not self.parts.valid:
            return
        train, counts, speeds = self.run.train, self.counts, self.speeds
        n = -(-train.epochs // train.validate_every)
        asked = LOOK if train.metric == "item-hit" else min(counts.users, self.parts.valid)
        scoring = counts.items * (2.0 * dim / speeds.multiplied + 12 / speeds.touched)
        took = n * (embedding + asked * scoring)
        scores = min(SCORES, 8.0 * asked * counts.items) / (2 if train.metric == "item-hit" else 1)
        made = {**passing, "vectors at their lengths": 4.0 * counts.items * dim}
        self.ledger.stage("validation", self._from_heap(made) | {"scores": scores}, seconds=took, repeats=f"{n} looks")

    def _from_heap(self, made: dict[str, float]) -> dict[str, float]:
        """What must be taken beside what training has left in the heap."""
        total, kept = sum(made.values()), self.ledger.held.get(HEAP, 0.0)
        return {name: size * max(total - kept, 0) / max(total, 1) for name, size in made.items()}

    def _n_pairs(self, model: PinSageConfig, edges: float) -> float:
        """Pairs of an epoch: an edge each, but for given ones."""
        if model.pairs.source == "file" and self.run.data.pairs is not None:
            return count_lines(Path(self.run.data.pairs))
        return edges

    def finish(self) -> None:
        """The index and the folder."""
        plan_index(self.run, self.counts, self.speeds, self.ledger)
        plan_artifact(self.run, self.counts, self.speeds, self.ledger, self.parts)
