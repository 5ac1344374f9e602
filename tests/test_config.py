"""Run files: what is read, what is refused, and in which words."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from pinfold.config import describe, options, parse, read_run, to_toml
from pinfold.errors import ConfigError

QUICK = settings(max_examples=50, deadline=None)


@options
class Factors:
    """One choice of model."""

    name: Literal["factors"] = "factors"
    dim: Annotated[int, Field(ge=1, description="length")] = 64
    rate: Annotated[float, Field(gt=0, description="step")] = 0.1


@options
class Counts:
    """The other choice of model."""

    name: Literal["counts"] = "counts"
    shrinkage: float  # no default


@options
class Looks:
    """Plain options of every type."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = (10, 20)
    metric: Literal["recall", "ndcg"] = "recall"
    refit: bool = False
    folder: Path | None = None
    limit: float | None = None


@options
class Run:
    """A whole run file."""

    model: Annotated[Factors | Counts, Field(discriminator="name", description="which")]
    seed: int = 0
    looks: Looks = Looks()
    more: Looks | None = None


FACTORS = {"name": "factors"}


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tree: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(tree, Run, "run.toml")
    return str(caught.value)


def test_defaults_fill_what_the_file_leaves_out(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, 'seed = 3\n[model]\nname = "factors"\ndim = 8\n'), Run)
    assert run == Run(model=Factors(dim=8), seed=3, looks=Looks())


def test_every_type_is_read(tmp_path: Path) -> None:
    text = """
    [model]
    name = "counts"
    shrinkage = 10            # a TOML int for a float
    [looks]
    ks = [5]                  # an array for a tuple
    metric = "ndcg"
    refit = true
    folder = "a/b"
    limit = 2.5
    """
    looks = Looks(ks=(5,), metric="ndcg", refit=True, folder=Path("a/b"), limit=2.5)
    run = read_run(write(tmp_path, text), Run)
    assert run == Run(model=Counts(shrinkage=10.0), looks=looks)
    assert isinstance(run.looks.ks, tuple)
    assert isinstance(run.model, Counts)
    assert isinstance(run.model.shrinkage, float)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"model": FACTORS, "sede": 1}, "sede: unknown option; did you mean 'seed'? (known: model, seed, looks, more)"),
        ({"model": FACTORS, "zzzz": {"a": 1}}, "zzzz: unknown option (known: model, seed, looks, more)"),
        ({"model": FACTORS | {"dmi": 2}}, "model.dmi: unknown option; did you mean 'dim'? (known: name, dim, rate)"),
        (
            {"model": FACTORS, "looks": {"kss": [1]}},
            "looks.kss: unknown option; did you mean 'ks'? (known: ks, metric, refit, folder, limit)",
        ),
        (
            {"model": FACTORS, "more": {"metrics": "recall"}},
            "more.metrics: unknown option; did you mean 'metric'? (known: ks, metric, refit, folder, limit)",
        ),
        (
            {"model": {"name": "factor"}},
            "model.name: unknown name 'factor'; did you mean 'factors'? (known: factors, counts)",
        ),
        ({"model": {"name": 3}}, "model.name: unknown name '3' (known: factors, counts)"),
        ({"model": {"dim": 3}}, "model.name: missing; say which one (known: factors, counts)"),
        ({"seed": 3}, "model: missing; it has no default"),
        ({"model": {"name": "counts"}}, "model.shrinkage: missing; it has no default"),
        ({"model": 3}, "model: expected a table, got 3"),
        ({"model": FACTORS, "looks": 3}, "looks: expected a table, got 3"),
        ({"model": FACTORS, "looks": [1]}, "looks: expected a table, got [1]"),
        ({"model": FACTORS | {"dim": 0}}, "model.dim: Input should be greater than or equal to 1, got 0"),
        ({"model": FACTORS, "looks": {"ks": [3, 0]}}, "looks.ks.1: Input should be greater than or equal to 1, got 0"),
        (
            {"model": FACTORS, "looks": {"metric": "recal"}},
            "looks.metric: Input should be 'recall' or 'ndcg', got 'recal'",
        ),
    ],
)  # fmt: skip
def test_messages_say_where_and_what(tree: dict[str, Any], message: str) -> None:
    assert refused(tree) == f"run.toml: {message}"


@pytest.mark.parametrize("value", ["3", "three", True, 3.0, 3.5, [3], {"a": 3}, math.nan, math.inf])
def test_only_an_int_is_an_int(value: object) -> None:
    assert refused({"model": FACTORS | {"dim": value}}).startswith("run.toml: model.dim: ")


@pytest.mark.parametrize("value", ["0.1", True, math.nan, math.inf, -math.inf, [0.1], 0])
def test_only_a_finite_number_in_range_is_a_float(value: object) -> None:
    assert refused({"model": FACTORS | {"rate": value}}).startswith("run.toml: model.rate: ")


@pytest.mark.parametrize("value", ["true", "yes", 1, 0])
def test_only_a_bool_is_a_bool(value: object) -> None:
    assert refused({"model": FACTORS, "looks": {"refit": value}}).startswith("run.toml: looks.refit: ")


def test_every_problem_has_its_own_line() -> None:
    assert refused({"model": FACTORS | {"dim": 0}, "sede": 1, "looks": {"ks": 3}}).splitlines() == [
        "run.toml: model.dim: Input should be greater than or equal to 1, got 0",
        "run.toml: looks.ks: Input should be a valid array, got 3",
        "run.toml: sede: unknown option; did you mean 'seed'? (known: model, seed, looks, more)",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: .*No such file"):
        read_run(tmp_path / "no.toml", Run)


def test_a_folder_is_no_run_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: .*directory"):
        read_run(tmp_path, Run)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"run\.toml: cannot be read: .*utf-8"):
        read_run(tmp_path / "run.toml", Run)


@pytest.mark.parametrize("text", ["seed = ", "seed 3", "[model", "seed = 1\nseed = 2", "a = " + "[" * 5000])
def test_text_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: not a TOML file: "):
        read_run(write(tmp_path, text), Run)


def overridden(folder: Path, *overrides: str) -> Run:
    return read_run(write(folder, 'seed = 1\n[model]\nname = "factors"\n'), Run, overrides)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=3", Run(model=Factors(), seed=3)),
        (" model.dim = 8 ", Run(model=Factors(dim=8), seed=1)),
        ("looks.metric=ndcg", Run(model=Factors(), seed=1, looks=Looks(metric="ndcg"))),
        ('looks.metric="ndcg"', Run(model=Factors(), seed=1, looks=Looks(metric="ndcg"))),
        ("looks.ks=[5, 6]", Run(model=Factors(), seed=1, looks=Looks(ks=(5, 6)))),
        ("looks.refit=true", Run(model=Factors(), seed=1, looks=Looks(refit=True))),
        ("looks.folder=a=b", Run(model=Factors(), seed=1, looks=Looks(folder=Path("a=b")))),
        ("more.limit=2", Run(model=Factors(), seed=1, more=Looks(limit=2.0))),
    ],
)
def test_overrides(tmp_path: Path, override: str, expected: Run) -> None:
    assert overridden(tmp_path, override) == expected


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert overridden(tmp_path, "seed=3", "model.dim=2", "seed=4") == Run(model=Factors(dim=2), seed=4)


@pytest.mark.parametrize("override", ["seed", "", "=3", ".=3", "model.=3", ".dim=3", "model..dim=3"])
def test_malformed_overrides_are_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"--set .*: expected table\.option=value, such as train\.epochs=3"):
        overridden(tmp_path, override)


def test_an_override_does_not_reach_through_a_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set seed\.deep=3: seed is not a table"):
        overridden(tmp_path, "seed.deep=3")


def test_an_override_cannot_smuggle_in_a_second_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.dim: Input should be a valid integer"):
        overridden(tmp_path, "model.dim=3\nother=4")


def test_an_unknown_overridden_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.dmi: unknown option; did you mean 'dim'\?"):
        overridden(tmp_path, "model.dmi=3")


def test_an_override_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        overridden(tmp_path, "looks.folder=\udcff")


def test_an_override_may_replace_a_table_only_by_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="looks: expected a table, got 3"):
        overridden(tmp_path, "looks=3")


RUNS = st.builds(
    Run,
    model=st.one_of(
        st.builds(Factors, dim=st.integers(1, 10**6), rate=st.floats(1e-300, 1e300)),
        st.builds(Counts, shrinkage=st.floats(allow_nan=False, allow_infinity=False)),
    ),
    seed=st.integers(-(2**60), 2**60),
    looks=st.builds(
        Looks,
        ks=st.lists(st.integers(1, 99)).map(tuple),
        metric=st.sampled_from(["recall", "ndcg"]),
        refit=st.booleans(),
        folder=st.none() | st.text("aé😀\"'\\\n# =", min_size=1).map(Path),
        limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    ),
)


@QUICK
@given(RUNS)
def test_what_is_written_is_read_again(run: Run) -> None:
    assert parse(tomllib.loads(to_toml(run)), Run, "run.toml") == run


def test_the_written_file_is_read_again(tmp_path: Path) -> None:
    run = Run(model=Factors(dim=3), more=Looks(folder=Path("x")))
    assert read_run(write(tmp_path, to_toml(run)), Run) == run


def test_options_are_frozen_and_named() -> None:
    with pytest.raises(AttributeError):
        Factors().dim = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Factors(3)  # type: ignore[call-arg, arg-type]


def test_options_describe_themselves() -> None:
    assert describe(Factors) == {"name": "", "dim": "length", "rate": "step"}
    assert "dim: length" in str(Factors.__doc__)


def test_a_byte_order_mark_is_no_part_of_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("\ufeffseed = 3\nmodel.name = 'factors'\n", encoding="utf-8")
    assert read_run(path, Run).seed == 3
