"""A second stage for an artifact: it learns from the validation part, which the first stage did not learn from."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Doubles, Ints
from pinfold.artifacts import check_place, open_folder
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part, Split, split_events
from pinfold.embedding.artifact import KIND, Artifact, read_artifact, rewrite
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.intervals import PairedTest, paired_test
from pinfold.features.encoders import Encoders
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.learned import Learned
from pinfold.index.recommender import recommender
from pinfold.progress import SILENT, Progress
from pinfold.ranking.candidates import Candidates, Person
from pinfold.ranking.features import prior
from pinfold.ranking.learning import Learned as LearnedRanker
from pinfold.ranking.learning import Lists, RankerConfig, learn, list_ndcg
from pinfold.ranking.statistics import item_statistics, later_share, latest_items
from pinfold.ranking.store import FILE, is_ranker_file, write_ranker
from pinfold.ranking.two_stage import Ranker, Stages, item_content
from pinfold.run import RunConfig, contexts_of, load_data, load_test, stored_run


@dataclass(frozen=True, slots=True)
class RankerReport:
    """What a second stage is worth on the validation part: users are judged by trees that learned from earlier ones."""

    n_users: int  # learned from
    n_judged: int  # by trees that learned from earlier ones
    n_candidates: float  # of a user, on average
    reach: float  # share of what they took that is among the candidates
    stage_one: float  # mean NDCG@10
    two_stages: float
    gain: PairedTest
    later: float  # share of the training events that came after a label, on average; 0 where features are honest
    n_trees: int
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """A plain object."""
        return asdict(self)


def train_ranker(
    path: Path, config: RankerConfig, *, replace_old: bool = False, force: bool = False, progress: Progress = SILENT
) -> tuple[RankerReport, bool]:
    """Learn a second stage for the artifact at `path` and write it there if it helps; the test part stays sealed.

    A model that was refitted on the validation part learns again, on the training part alone, to bring candidates
    whose answers it does not know. The artifact's own model is not touched.

    Args:
        path: of the artifact; the data set must still be where its run says.
        config: candidates and trees.
        replace_old: replace an older ranker.
        force: write one whose gain may be chance, too.
        progress: hears what is done.

    Returns:
        The report, and whether the ranker was written.

    Raises:
        PinfoldError: artifact, data or options are not as they should be, or LightGBM is not installed.
    """
    check_place(path, KIND, replace=True)
    artifact = read_artifact(path)
    if open_folder(path, KIND).has(FILE) and not replace_old:
        raise ArtifactError(f"{path}: has a ranker already; ask to replace it with --replace")
    run = stored_run(artifact.run, path)
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed, load_test(run.data, dataset))
    part = _checked(path, artifact, dataset, split)
    started = time.perf_counter()
    learned, encoders = _stage_one(run, artifact, dataset, split, progress)
    seconds = {"stage_one": time.perf_counter() - started}
    ranker, report = rank_part(split, part, learned, encoders, config, run.seed, progress)
    report = replace(report, seconds=seconds | report.seconds)
    written = force or report.gain.low > 0
    if written:
        rewrite(path, lambda folder: write_ranker(folder, ranker, report.to_json()), is_ranker_file)
    return report, written


def rank_part(
    split: Split, part: Part, learned: Learned, encoders: Encoders | None, config: RankerConfig, seed: int,
    progress: Progress = SILENT,
) -> tuple[Ranker, RankerReport]:  # fmt: skip
    """A second stage from the validation part, for a first stage that learned from the training part alone.

    The ranker's numbers of items and users come from all known events: it is to answer after these.
    """
    started = time.perf_counter()
    users = _chosen(part, config, seed)
    latest = None if part.new_users else latest_items(split.train, config.candidates.latest)
    graph, statistics = build_graph(split.train), item_statistics(split.train)
    content = item_content(learned, encoders)
    stage_one = recommender(learned, graph.user_items)
    stages = Stages(stage_one, learned, graph, statistics, latest, config.candidates, content=content)
    targets = rows_of(part, users)
    with progress.task("candidates", len(users)) as task:
        lists = gather(stages, part, users, targets, task.advance)
    gathered = time.perf_counter()
    with progress.task("ranker", config.folds) as task:
        found = learn(lists, config, seed, times_of(part, users), task.advance)
    seconds = {"candidates": gathered - started, "trees": time.perf_counter() - gathered}
    report = _report(split, part, lists, targets, found, config, seed, seconds)
    newest = None if latest is None else latest_items(split.known, config.candidates.latest)
    return Ranker(config.candidates, config.prior, found.forest, item_statistics(split.known), newest), report


def gather(stages: Stages, part: Part, users: Ints, targets: Csr, advance: Callable[[], None]) -> Lists:
    """The candidates of these users (Q,), with their features, and which of them they took (`targets`, Q rows)."""
    sizes, tables, taken = [], [], []
    for row, (person, candidates) in enumerate(_people(stages, part, users)):
        sizes.append(len(candidates.rows))
        tables.append(stages.features(person, candidates))
        taken.append(np.isin(candidates.rows, targets.row(row)))
        advance()
    return Lists(np.array(sizes, np.int64), np.concatenate(tables), np.concatenate(taken))


def _people(stages: Stages, part: Part, users: Ints) -> Iterator[tuple[Person, Candidates]]:
    if not part.new_users:
        return stages.users(users)
    given = part.given
    histories = from_pairs(given.users, given.items, given.weights, (given.n_users, given.n_items))
    return stages.newcomers(histories.take(users))


def _stage_one(
    run: RunConfig, artifact: Artifact, dataset: Dataset, split: Split, progress: Progress
) -> tuple[Learned, Encoders | None]:
    """The artifact's model if it never saw the validation part, else its like, learned without that."""
    if not run.train.refit:
        return artifact.learned, artifact.encoders
    alone = replace(run, train=replace(run.train, refit=False))
    with progress.task("first stage again, without the validation part"):
        fitted = fit(alone, split, contexts=contexts_of(run, dataset), progress=progress)
    return fitted.learned, fitted.encoders


def _checked(path: Path, artifact: Artifact, dataset: Dataset, split: Split) -> Part:
    """The validation part, if data set and artifact belong together.

    Raises:
        ArtifactError: they do not.
        ConfigError: the run's split has no validation part.
    """
    if split.valid is None:
        raise ConfigError(
            f"{path}: was trained with split.protocol 'none', so there is no validation part to learn from; train with "
            "'time-cut' or 'newest-collections'"
        )
    known = artifact.known()
    vocabs = ((dataset.users, artifact.users), (dataset.items, artifact.items))
    same = all(np.array_equal(found.all, expected.all) for found, expected in vocabs)
    if not same or _pairs(known) != _pairs(split.known):
        raise ArtifactError(f"{path}: its data set is not what it was made of; train again, or restore the data set")
    return split.valid


def _pairs(events: Interactions) -> bytes:
    return np.sort(events.users.astype(np.int64) * events.n_items + events.items).tobytes()


def _chosen(part: Part, config: RankerConfig, seed: int) -> Ints:
    """The users to learn from, ascending."""
    users = part.users()
    if len(users) <= config.users:
        return users
    return np.sort(np.random.default_rng([seed, 0x0A5C]).choice(users, config.users, replace=False))


def times_of(part: Part, users: Ints) -> Doubles | None:
    """When each of these users took what they took, on average (Q,); None without times."""
    target = part.target
    if not target.timed:
        return None
    counts = np.bincount(target.users, minlength=target.n_users)
    sums = np.bincount(target.users, target.times.astype(np.float64), target.n_users)
    return np.asarray(sums[users] / counts[users], np.float64)


def rows_of(part: Part, users: Ints) -> Csr:
    """What each of these users takes (Q, I)."""
    target = part.target
    all_users = from_pairs(target.users, target.items, target.weights, (target.n_users, target.n_items))
    return all_users.take(users)


def _report(
    split: Split, part: Part, lists: Lists, targets: Csr, found: LearnedRanker, config: RankerConfig, seed: int,
    seconds: dict[str, float],
) -> RankerReport:  # fmt: skip
    wanted, judged = targets.degrees(), found.judged
    before = list_ndcg(lists, prior(lists.features, 1, config.candidates.model), wanted)[judged]
    after = list_ndcg(lists, found.scores, wanted)[judged]
    later = later_share(split.train.times, part.target.times).mean() if split.train.timed else np.nan
    return RankerReport(
        n_users=len(wanted),
        n_judged=int(judged.sum()),
        n_candidates=float(lists.sizes.mean()),
        reach=float(lists.taken.sum() / wanted.sum()),
        stage_one=float(before.mean()),
        two_stages=float(after.mean()),
        gain=paired_test(after, before, "ndcg@10", seed=seed),
        later=float(later),
        n_trees=len(found.forest.roots),
        seconds=seconds,
    )
