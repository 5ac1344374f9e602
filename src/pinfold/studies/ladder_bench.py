"""A study of variants made ready: every variant's options checked before any work, and the place of its results."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pinfold.config import read_run
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Split, split_events
from pinfold.errors import ArtifactError, ConfigError, did_you_mean
from pinfold.evaluation.study import StudyConfig
from pinfold.files import write_json
from pinfold.models.interface import Context
from pinfold.models.shelf import needs_content
from pinfold.run import Contexts, RunConfig, contexts_of, load_data, load_test
from pinfold.studies.files import claim, fingerprint, fingerprint_table, identity_of
from pinfold.studies.ladder_results import Figures
from pinfold.studies.proposals import with_values

VARIED = ("model", "features", "train")
BLEND, COLD = "blend", "cold"  # the tables that are no groups


@dataclass(frozen=True, slots=True)
class Bench:
    """A study on its data, and where its results are kept."""

    run: RunConfig  # without its tables study, reproduce and tune
    study: StudyConfig
    variants: Mapping[str, RunConfig]
    dataset: Dataset
    test: Interactions | None
    folder: Path
    splits: dict[int, Split] = field(default_factory=dict)  # by seed, once they were made
    contexts: dict[tuple[str, int], Context] = field(default_factory=dict)  # by features and number of events

    def split(self, seed: int) -> Split:
        """The same questions for all variants of a seed."""
        if seed not in self.splits:
            self.splits[seed] = split_events(self.dataset.interactions, self.run.split, seed, self.test)
        return self.splits[seed]

    def contexts_of(self, run: RunConfig, seed: int) -> Contexts:
        """As `run.contexts_of`, but features that several variants share are made once."""
        made = contexts_of(run, self.dataset)

        def of(events: Interactions) -> Context:
            if not needs_content(run.model):
                return made(events)
            key = f"{seed} {run.features!r}", len(events)
            if key not in self.contexts:
                self.contexts[key] = made(events)
            return self.contexts[key]

        return of

    def tables(self, only: Sequence[str] = ()) -> list[str]:
        """The names of the tables to be made, in their order.

        Raises:
            ConfigError: one of `only` is none.
        """
        names = list(self.study.groups)
        names += [BLEND] if self.study.blend.members else []
        names += [COLD] if self.study.cold.variants or self.study.cold.ceilings else []
        for name in only:
            if name not in names:
                near = did_you_mean(name, names)
                raise ConfigError(f"--only {name!r}: no such table{near} (known: {', '.join(names)})")
        return [name for name in names if not only or name in only]

    def key(self, run: RunConfig, seed: int, *what: object) -> str:
        """What names a result: all options that decide it."""
        neutral = replace(run, seed=seed, data=replace(run.data, path="", test=None))
        return hashlib.sha256("\n".join([repr(neutral), *map(repr, what)]).encode()).hexdigest()[:16]

    def kept(self, key: str, name: str, make: Callable[[], Figures]) -> Figures:
        """The figures of an earlier call, or worked out now and kept."""
        path = self.folder / f"figures-{key}.json"
        if not path.is_file():
            write_json(path, asdict(make()))
        try:
            return replace(TypeAdapter(Figures).validate_json(path.read_bytes()), variant=name)
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"{path}: is damaged; remove it to have this variant run again: {error}") from error


def open_bench(path: Path, out: Path, data: Path | None, only: Sequence[str] = ()) -> Bench:
    """The study of a run file on its data; `out` made, or found to be of this data.

    Raises:
        ConfigError: no table [study], no test part, options that cannot be, or `out` belongs to another study.
        DataError: the data cannot be used.
    """
    run, study = read_study(path)
    if data is not None:
        run = replace(run, data=replace(run.data, path=str(data)))
    variants = resolve(run, study, path)
    dataset = load_data(run.data)
    test = load_test(run.data, dataset)
    neutral = replace(run.data, path="", test=None)
    tables = [fingerprint_table(table) for table in (dataset.item_table, dataset.user_table)]
    identity = identity_of(
        neutral, *(fingerprint(part) for part in (dataset.interactions, test) if part is not None), *tables
    )
    bench = Bench(run, study, variants, dataset, test, out)
    bench.tables(only)  # before anything is written
    claim(out, "reproduce", identity)
    return bench


def has_study(path: Path) -> bool:
    """Whether the run file holds a study.

    Raises:
        ConfigError: the file cannot be read, or an option in it cannot be.
    """
    return read_run(path, RunConfig).study is not None


def read_study(path: Path) -> tuple[RunConfig, StudyConfig]:
    """A run file in two parts: the run, and the study of its variants.

    Raises:
        ConfigError: the file has no table `study`, or the run has no test part.
    """
    run = read_run(path, RunConfig)
    if run.study is None:
        raise ConfigError(f"{path}: has no table [study]")
    if run.split.protocol == "none":
        raise ConfigError(f"{path}: split.protocol 'none' has no test part, so variants cannot be judged")
    if len(set(run.study.seeds)) < len(run.study.seeds):
        raise ConfigError(f"{path}: study.seeds: expected different whole numbers")
    return replace(run, study=None, reproduce=None, tune=None), run.study


def resolve(run: RunConfig, study: StudyConfig, path: Path) -> dict[str, RunConfig]:
    """The run of every variant by its name.

    Raises:
        ConfigError: an unknown option, a wrong value, an option that may not vary, two variants of one name, or a name
            that no variant has.
    """
    variants: dict[str, RunConfig] = {}
    for group, config in study.groups.items():
        if group in (BLEND, COLD) or not config.variants:
            raise ConfigError(f"{path}: study.groups {group!r}: is a name of Pinfold's, or has no variants")
        for name, values in config.variants.items():
            where = f"{path}: study.groups {group!r}, variant {name!r}"
            found = _varied(run, values, where)
            if variants.setdefault(name, found) != found:
                raise ConfigError(f"{where}: another variant of this name has other options; name it otherwise")
    named = [*study.blend.members, *study.cold.variants, *study.cold.ceilings]
    named += [name for expected in study.expect for name in (expected.variant, expected.against) if name]
    for name in named:
        if name not in variants and name != blend_name(study):
            raise ConfigError(f"{path}: study: no variant {name!r}{did_you_mean(name, variants)}")
    tables = ("", *study.groups, BLEND, COLD)
    for expected in study.expect:
        if expected.group not in tables:
            raise ConfigError(
                f"{path}: study.expect: no table {expected.group!r}{did_you_mean(expected.group, tables)}"
            )
    if strangers := set(study.blend.logs) - set(study.blend.members):
        raise ConfigError(f"{path}: study.blend.logs: not members of the blend: {', '.join(sorted(strangers))}")
    return variants


def blend_name(study: StudyConfig) -> str:
    """The row of the blend."""
    return " + ".join(study.blend.members)


def _varied(run: RunConfig, values: Mapping[str, Any], where: str) -> RunConfig:
    for option in values:
        if option.partition(".")[0] not in VARIED:
            raise ConfigError(f"{where}: {option}: only options of {', '.join(VARIED)} can be varied")
    return with_values(run, dict(values), where)
