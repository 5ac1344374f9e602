"""`pinfold demo`: the whole job on the bundled data, small enough to watch and to judge by eye."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from pinfold.artifacts import check_place
from pinfold.data.bundled import debian
from pinfold.data.dataset import Dataset
from pinfold.data.doctor import check_dataset
from pinfold.data.splits import Part, ProtocolName, Split, SplitConfig, split_events
from pinfold.embedding.artifact import KIND, Artifact, write_artifact
from pinfold.errors import DataError
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.fitting import Fitted, fit
from pinfold.graph.bipartite import build_graph
from pinfold.index.answers import Answers
from pinfold.index.recommender import recommender
from pinfold.memory import peak_memory
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import ModelConfig
from pinfold.models.walk import WalkConfig
from pinfold.pipeline import Verdict, assemble, judge
from pinfold.progress import SILENT, Progress
from pinfold.run import DataConfig, RunConfig, contexts_of
from pinfold.sampling.pairs import SamplingConfig
from pinfold.terminal import answers_table, diagnosis_text, example_text, neighbors_table, verdict_tables
from pinfold.training.config import TrainConfig

OBJECTIVE = ObjectiveConfig(sampling=SamplingConfig(batch_size=512))
MODEL = LightGCNConfig(objective=OBJECTIVE)
TRAIN = TrainConfig(epochs=15, decay_epochs=15, learning_rate=0.02, patience=2, refit=True)
RUN = RunConfig(data=DataConfig(path="debian"), model=MODEL, train=TRAIN, evaluation=EvaluationConfig(ks=(20,)))
FLOOR: tuple[ModelConfig, ...] = (PopularityConfig(), ItemKNNConfig(), GFCFConfig())
FACTORS = MFConfig(objective=OBJECTIVE)
CONTENT, WALK, PINSAGE = ContentKNNConfig(), WalkConfig(method="walks", steps=5000), PinSageConfig()
# A fixed number of epochs, so that one training is enough: six are better than three (docs/experiments.md)
PINSAGE_TRAIN = TrainConfig(epochs=6, decay_epochs=6, warmup_steps=50, learning_rate=1e-2)
FAMILIAR = ("python3-numpy", "gimp", "postgresql", "texlive-latex-base", "libsdl2-2.0-0")
SHOWN = 3  # collections whose hidden items are shown
TITLES: dict[ProtocolName, str] = {
    "random": "A fifth of each collection hidden: which items are missing?",
    "held-out-collections": "Collections that training never saw, half of each given: what is the other half?",
}
Show = Callable[[RenderableType], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One protocol: every model learned, selected on the validation part, refitted, and judged once."""

    protocol: ProtocolName
    verdict: Verdict
    seconds: dict[str, float]  # to learn, per model
    fitted: dict[str, Fitted]  # by the model's name; LightGCN is the first
    split: Split
    test: Part


@dataclass(frozen=True, slots=True)
class Example:
    """A collection of which a part was hidden, and what LightGCN proposes."""

    collection: str
    given: list[str]
    hidden: set[str]
    proposed: list[str]


def run_trial(
    dataset: Dataset, protocol: ProtocolName, rivals: Sequence[ModelConfig], progress: Progress = SILENT
) -> Trial:
    """LightGCN beside its rivals on the same split."""
    run = replace(RUN, split=SplitConfig(protocol=protocol))
    split = split_events(dataset.interactions, run.split, run.seed)
    fitted: dict[str, Fitted] = {
        c.name: learn(replace(run, model=c), dataset, split, progress) for c in (MODEL, *rivals)
    }
    if split.test is None:
        raise ValueError(f"protocol {protocol!r} has no test part")
    test = split.test.unseal()
    known = build_graph(split.known).user_items
    verdict = judge({name: f.learned for name, f in fitted.items()}, test, known, run, progress=progress)
    seconds = {name: f.seconds for name, f in fitted.items()}
    return Trial(protocol, verdict, seconds, fitted, split, test)


def learn(run: RunConfig, dataset: Dataset, split: Split, progress: Progress) -> Fitted:
    """One model: PinSage from all known events at once, the others selected on the validation part and refitted."""
    contexts = contexts_of(run, dataset)
    if run.model.name != PINSAGE.name:
        return fit(run, split, contexts=contexts, progress=progress)
    whole = replace(split, train=split.known, valid=None)
    return fit(replace(run, train=PINSAGE_TRAIN), whole, contexts=contexts, progress=progress)


def trials(dataset: Dataset, progress: Progress = SILENT) -> Iterator[Trial]:
    """A share of each collection hidden; then whole collections hidden, half of each given."""
    yield run_trial(dataset, "random", (*FLOOR, FACTORS, CONTENT, WALK, PINSAGE), progress)
    yield run_trial(dataset, "held-out-collections", FLOOR, progress)


def save(dataset: Dataset, trial: Trial, out: Path) -> tuple[Artifact, Path]:
    """LightGCN of a trial as an artifact, the verdict among its metrics; PinSage as another one, and where that is."""
    served = out.with_name(f"{out.name}-{PINSAGE.name}")
    whole = replace(RUN, model=PINSAGE, train=replace(PINSAGE_TRAIN, refit=True))
    artifacts = {}
    for run, place in ((whole, served), (RUN, out)):
        fitted = trial.fitted[run.model.name]
        artifact = assemble(run, dataset, trial.split, fitted)
        artifact.metrics.update(test_openings=1, test=trial.verdict.to_json())
        write_artifact(place, artifact, fitted.parameters, replace=True)
        artifacts[place] = artifact
    return artifacts[out], served


def side_by_side(dataset: Dataset, trial: Trial, k: int = 6) -> dict[str, dict[str, list[str]]]:
    """The nearest items of a few familiar ones by content alone, by walks alone, and by PinSage, which has both."""
    seen = build_graph(trial.split.known).user_items
    rows = dataset.items.rows(FAMILIAR)
    found: dict[str, dict[str, list[str]]] = {item: {} for item in FAMILIAR}
    for config in (CONTENT, WALK, PINSAGE):
        top = recommender(trial.fitted[config.name].learned, seen).similar(rows, k)
        for item, ids in zip(FAMILIAR, top.ids, strict=True):
            found[item][config.name] = dataset.items.ids(ids[ids >= 0]).tolist()
    return found


def examples(artifact: Artifact, test: Part, k: int = 10) -> list[Example]:
    """Collections drawn at random (always the same ones) from those asked about."""
    answers = Answers(artifact)
    rows = np.random.default_rng(RUN.seed).choice(test.users(), SHOWN, replace=False)
    given, target = build_graph(test.given).user_items, build_graph(test.target).user_items
    return [
        Example(
            collection=str(artifact.users.all[row]),
            given=artifact.items.ids(given.row(row)).tolist(),
            hidden=set(artifact.items.ids(target.row(row)).tolist()),
            proposed=[a.id for a in answers.for_user(str(artifact.users.all[row]), k)],
        )
        for row in rows
    ]


def report(dataset: Dataset, done: Sequence[Trial], out: Path, served: Path, seconds: float) -> dict[str, Any]:
    """The numbers as plain values."""
    return {
        "data": dict(dataset.source),
        "trials": {t.protocol: {**t.verdict.to_json(), "fit_seconds": t.seconds} for t in done},
        "artifact": str(out),
        "served": str(served),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(),
    }


def run_demo(out: Path, items: Sequence[str], show: Show, progress: Progress = SILENT) -> dict[str, Any]:
    """The demo from data to answers; `show` gets a table or a text as each stage ends."""
    started, out = time.perf_counter(), out.absolute()
    for place in (out, out.with_name(f"{out.name}-{PINSAGE.name}")):
        check_place(place, KIND, replace=True)
    dataset = debian()
    items = known_items(dataset, items, show)  # unknown packages are said before the work, not after it
    show(f"{dataset.source['about']}: {counts(dataset)}")
    show(f"checked: {diagnosis_text(check_dataset(dataset))} (`pinfold check` shows them)")
    done = []
    for trial in trials(dataset, progress):
        done.append(trial)
        for table in verdict_tables(trial.verdict, TITLES[trial.protocol], trial.seconds):
            show(table)
    artifact, served = save(dataset, done[0], out)
    answers = Answers(artifact)
    show(neighbors_table(side_by_side(dataset, done[0])))
    for example in examples(artifact, done[0].test):
        show(example_text(example.collection, example.given, example.proposed, example.hidden))
    if items:
        show(answers_table(answers.for_items(items, 10), f"goes with {', '.join(items)}"))
    seconds = time.perf_counter() - started
    show(
        f"{seconds:.0f} s, {peak_memory() / 2**20:.0f} MiB at most. The artifact is in {out}. Go on with:\n"
        f"  pinfold similar {out} --item vim\n"
        f"  pinfold recommend {out} --items git,tmux\n"
        f"  pinfold serve {served}\n"
        f"  pinfold import YOUR_EVENTS.csv --out data"
    )
    return report(dataset, done, out, served, seconds)


def known_items(dataset: Dataset, items: Sequence[str], show: Show) -> list[str]:
    """Those of the items that the data set has; the others are shown.

    Raises:
        DataError: items are given and none is known.
    """
    known = dataset.items.known(items)
    if items and not known:
        raise DataError(f"none of the {len(items)} packages is in the data set; the first one is {items[0]!r}")
    if len(known) < len(items):
        unknown = sorted(set(items) - set(known))
        show(f"not in the data set and left out: {', '.join(unknown)}")
    return known


def counts(dataset: Dataset) -> str:
    """`30,627 collections, 13,839 items, 224,677 edges`."""
    n = len(dataset.interactions)
    return f"{len(dataset.users):,} collections, {len(dataset.items):,} items, {n:,} edges"
