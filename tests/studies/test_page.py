"""The page: nothing is loaded from elsewhere, nothing from data is markup, and the plots say what they show."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pinfold.data.dataset import save_dataset
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ArtifactError
from pinfold.evaluation.intervals import Interval
from pinfold.progress import Progress
from pinfold.run import RunConfig
from pinfold.studies import plots
from pinfold.studies.compare import compare, compare_config
from pinfold.studies.comparison import Comparison
from pinfold.studies.page import check_report_place, page, write_report
from pinfold.studies.trial import Trial, run_trial

EVIL = '<script>alert(1)</script> & "quoted" ${sentence}'
VOID = {"meta", "link", "img", "br", "circle", "rect", "path", "line", "polyline"}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison whose data and refusal try to be markup."""
    path = tmp_path_factory.mktemp("page") / "<b>data"
    save_dataset(replace(two_tastes(), source={"about": EVIL}), path)

    def learn(run: RunConfig, seconds: float, progress: Progress) -> Trial | str:
        return EVIL if run.model.name == "ease" else run_trial(run)

    config = compare_config(str(path), "popularity,item-knn,gf-cf,ease", "random", None, 1.0, 0)
    return compare(config, datetime(2026, 1, 2, tzinfo=UTC), learn=learn)


class Reader(HTMLParser):
    """What elements and attributes there are, and whether all that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_nothing_is_loaded_from_elsewhere(comparison: Comparison) -> None:
    text = page(comparison)
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    reader = Reader(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert not {"src", "href", "xlink:href", "srcset", "data"} & {name for name, _ in reader.attributes}
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_text_of_the_data_stays_text(comparison: Comparison) -> None:
    text = page(comparison)
    reader = Reader(text)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "b" not in reader.tags
    assert sum(EVIL in words for words in reader.texts) == 3  # the data's description, the row, the note


def test_tables_have_headings_and_plots_have_words(comparison: Comparison) -> None:
    reader = Reader(page(comparison))
    assert reader.tags.count("svg") == 3
    assert reader.tags.count("desc") == 3
    assert reader.attributes.count(("role", "img")) == 3
    assert reader.tags.count("caption") == reader.tags.count("table") == 4
    assert ("scope", "col") in reader.attributes
    assert ("scope", "row") in reader.attributes
    assert ("lang", "en") in reader.attributes
    text = " ".join(reader.texts)
    assert comparison.advice.sentence in text
    assert "item-kNN popularity lift@20" in text  # the third plot in words
    assert "2026-01-02T00:00:00+00:00" in text


def test_the_same_comparison_gives_the_same_page(comparison: Comparison) -> None:
    assert page(comparison) == page(comparison)


def test_a_report_replaces_a_report_and_nothing_else(comparison: Comparison, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report", comparison)
    write_report(tmp_path / "new" / "report", comparison)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "report.html").write_text("<p>mine")
    with pytest.raises(ArtifactError, match="is not a report of `pinfold compare`"):
        check_report_place(mine)
    assert [path.name for path in mine.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="a report cannot be written there"):
        check_report_place(tmp_path / "file")


def test_stopped_while_writing_the_old_page_stays(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, comparison)
    before = (tmp_path / "report.html").read_bytes()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pinfold.files.os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, replace(comparison, cold_share=0.5))
    assert (tmp_path / "report.html").read_bytes() == before


def test_labels_are_moved_apart_and_stay_inside() -> None:
    placed = plots.spread([50.0, 51.0, 49.0, 200.0], 15, 0, 210)
    assert sorted(placed) == [placed[2], placed[0], placed[1], placed[3]]
    gaps = [b - a for a, b in zip(sorted(placed), sorted(placed)[1:], strict=False)]
    assert min(gaps) >= 15
    crowded = plots.spread([205.0, 206.0, 207.0], 15, 0, 210)
    assert crowded == [180.0, 195.0, 210.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.02, 0.71, [0.0, 0.2, 0.4, 0.6, 0.8]), (0.5, 0.5, None), (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])],
)
def test_ticks_are_round_and_hold_all_values(low: float, high: float, expected: list[float] | None) -> None:
    found = plots.ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert len(found) >= 2
    if expected:
        assert found == expected


def test_every_mark_lies_inside_its_plot() -> None:
    points = [plots.Point(f"m{n}", 10.0**n, Interval(0.1 * n, 0.1 * n - 0.01, 0.1 * n + 0.01)) for n in range(-3, 4)]
    text = plots.against_time(points, "recall@20")
    for x, y in re.findall(r'<circle[^>]* cx="([\d.-]+)" cy="([\d.-]+)"', text):
        assert plots.LEFT <= float(x) <= plots.WIDTH - plots.RIGHT
        assert plots.TOP <= float(y) <= plots.HEIGHT - plots.BOTTOM
    assert text.count("<title>") == 8  # of the plot and of each model


@pytest.mark.parametrize(("low", "high"), [(0.188, 0.681), (0.11, 0.69), (0.02, 0.03), (0.0, 1.0)])
def test_every_grid_line_lies_inside_its_plot(low: float, high: float) -> None:
    text = plots.by_group([("m", [Interval((low + high) / 2, low, high)])], ["all"], "recall@20", "users")
    for y in re.findall(r'<line class="grid" [^>]*y1="([\d.-]+)"', text):
        assert plots.TOP <= float(y) <= plots.HEIGHT - plots.BOTTOM


def test_a_model_without_lists_has_an_empty_bar() -> None:
    assert ">none</text>" in plots.bars([("coverage", None, [0.5, None])], ["a", "b"])
