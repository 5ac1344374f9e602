"""The rules of the advice: a table of cases, each with the words that it must say."""

import numpy as np
import pytest

from pinfold.evaluation.evaluate import Evaluation
from pinfold.evaluation.intervals import Interval
from pinfold.studies.abilities import Abilities
from pinfold.studies.advice import GRAPH_MODELS, advise, best_simple, number, p_text, seconds_text
from pinfold.studies.compare import MODELS, paired_tests
from pinfold.studies.comparison import Advice, Ending, Judged, Learning, Refused, compared

ORDER: list[str] = [model.name for model in MODELS]
RNG = np.random.default_rng(7)
USERS = RNG.random(1000)  # how easy each user is, for every model
NOISE = {name: RNG.normal(0, 0.1, 1000) for name in ORDER}


def judged(
    name: str, quality: float, *, valid: float | None = None, n_users: int = 1000, seconds: float = 2.0,
    ended: Ending | None = None, best_epoch: int = 0, new_items: bool = False,
) -> Judged:  # fmt: skip
    noise = NOISE[name][:n_users] - NOISE[name][:n_users].mean()  # so that the mean is what the case says
    values = quality + noise + USERS[:n_users] - USERS[:n_users].mean()
    interval = Interval(quality, quality - 0.01, quality + 0.01)
    evaluation = Evaluation({"recall@20": interval}, {}, {"recall@20": values}, n_users, 0.5)
    learning = Learning(seconds, 1 << 20, quality if valid is None else valid, 10 if ended else 0, best_epoch, ended)
    return Judged(name, learning, evaluation, Abilities(True, new_items, False, True), (interval,))


def advice_for(*models: Judged, refused: tuple[Refused, ...] = (), cold_share: float = 0.0) -> Advice:
    ordered = sorted(models, key=lambda model: ORDER.index(model.name))
    tests = paired_tests(ordered, "recall@20", 0)
    return advise(ordered, tests, "recall@20", refused=refused, cold_share=cold_share)


@pytest.mark.parametrize(
    ("qualities", "choice", "said"),
    [
        # a graph model is clearly ahead, the costly one is not ahead of the cheap one
        (
            {"item-knn": 0.6, "gf-cf": 0.7, "lightgcn": 0.7},
            "gf-cf",
            "Use GF-CF: recall@20 .700, .100 above item-kNN, the best model without a graph (p < .001), learned in "
            "2.0 s; LightGCN is not ahead of it (0, p = 1.000).",
        ),
        # the costly graph model is ahead of everything
        (
            {"item-knn": 0.6, "gf-cf": 0.65, "lightgcn": 0.7},
            "lightgcn",
            "Use LightGCN: recall@20 .700, .100 above item-kNN, the best model without a graph (p < .001), learned in "
            "2.0 s; GF-CF is behind it (-.050, p < .001).",
        ),
        # a simple model is ahead
        (
            {"item-knn": 0.7, "gf-cf": 0.65},
            "item-knn",
            "The graph is not worth it here: use item-kNN, recall@20 .700, learned in 2.0 s; GF-CF is behind it "
            "(-.050, p < .001).",
        ),
        # the graph model has the better mean, but no difference can be shown
        (
            {"popularity": 0.2, "item-knn": 0.65, "lightgcn": 0.651},
            "item-knn",
            "The graph is not worth it here: use item-kNN, recall@20 .650, learned in 2.0 s; LightGCN is not ahead of "
            "it (+.001, p = ",
        ),
        # a graph model is no better than the best model without one, but simpler
        (
            {"gf-cf": 0.65, "mf": 0.651},
            "gf-cf",
            "Use GF-CF: recall@20 .650, as good as MF, the best model without a graph (difference -.001, p = ",
        ),
        ({"popularity": 0.2, "mf": 0.5}, "mf", "Use MF, recall@20 .500, learned in 2.0 s."),
        ({"gf-cf": 0.5}, "gf-cf", "Use GF-CF: recall@20 .500, learned in 2.0 s."),
    ],
)
def test_the_sentence(qualities: dict[str, float], choice: str, said: str) -> None:
    advice = advice_for(*(judged(name, quality) for name, quality in qualities.items()))
    assert advice.choice == choice
    assert advice.graph == (choice in GRAPH_MODELS)
    assert advice.sentence.startswith(said)
    assert advice.notes == ()


def test_the_validation_part_chooses_the_leader_and_a_contradiction_is_said() -> None:
    advice = advice_for(judged("item-knn", 0.6, valid=0.7), judged("gf-cf", 0.7, valid=0.6))
    assert advice.choice == "item-knn"
    assert "not worth it" not in advice.sentence
    assert "GF-CF had the worse validation score but is ahead on the test part (+.100, p < .001)" in advice.sentence


def test_the_best_model_without_a_graph_is_chosen_on_the_validation_part() -> None:
    models = [judged("item-knn", 0.6, valid=0.5), judged("mf", 0.5, valid=0.6), judged("lightgcn", 0.9)]
    assert best_simple(models) == "mf"
    assert best_simple(models[2:]) is None


def test_a_model_stopped_while_it_got_better_is_noted() -> None:
    better = judged("lightgcn", 0.5, ended="time", best_epoch=10)
    worse = judged("mf", 0.4, ended="time", best_epoch=5)
    patient = judged("item-knn", 0.6)
    notes = advice_for(better, worse, patient).notes
    assert len(notes) == 1
    assert notes[0].startswith("LightGCN was stopped by its share of the time while it still got better (epoch 10)")


def test_without_every_graph_model_at_its_end_the_question_stays_open() -> None:
    stopped = judged("lightgcn", 0.4, ended="time", best_epoch=10)
    for advice in (
        advice_for(judged("item-knn", 0.6), stopped),
        advice_for(judged("item-knn", 0.6), refused=(Refused("gf-cf", "late"),)),
    ):
        assert advice.sentence.startswith(
            "Whether the graph is worth it stays open (see below); until then use item-kNN"
        )
    done = judged("lightgcn", 0.4, ended="patience", best_epoch=5)
    assert advice_for(judged("item-knn", 0.6), done).sentence.startswith("The graph is not worth it here")


def test_missing_models_few_users_and_new_items_are_noted() -> None:
    refused = (Refused("ease", "needs 9 GiB"),)
    models = [judged("item-knn", 0.6, n_users=50), judged("gf-cf", 0.7, n_users=50)]
    notes = advice_for(*models, refused=refused, cold_share=0.2).notes
    assert notes[0] == "EASE is missing: needs 9 GiB"
    assert notes[1].startswith("Only 50 users were asked")
    assert notes[2].endswith("on items that nobody took before: none of these models can recommend them.")
    able = [judged("item-knn", 0.6), judged("gf-cf", 0.7, new_items=True)]
    assert advice_for(*able, cold_share=0.2).notes[0].endswith("only GF-CF can recommend them.")


def test_a_test_can_be_read_both_ways() -> None:
    tests = paired_tests([judged("item-knn", 0.6), judged("gf-cf", 0.7)], "recall@20", 0)
    forth, back = compared(tests, "gf-cf", "item-knn"), compared(tests, "item-knn", "gf-cf")
    assert forth.difference == pytest.approx(0.1)
    assert (back.difference, back.low, back.high) == (-forth.difference, -forth.high, -forth.low)
    assert forth.low < forth.difference < forth.high


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.7254), ".725"),
        (number(0.078, sign=True), "+.078"),
        (number(-0.0001, sign=True), "0"),
        (number(1.0), "1.000"),
        (p_text(0.0004), "p < .001"),
        (p_text(0.034), "p = .034"),
        (seconds_text(0.001), "0.01 s"),
        (seconds_text(3.14), "3.1 s"),
        (seconds_text(75.2), "75 s"),
        (seconds_text(1260), "21 min"),
    ],
)
def test_numbers_as_text(text: str, expected: str) -> None:
    assert text == expected
