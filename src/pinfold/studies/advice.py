"""The rules that turn a comparison into one sentence.

1. The leader is the model with the best validation score.
2. The choice is the simplest model that is not behind the leader: of the models in order of simplicity, the first one
   whose paired test against the leader, corrected for all pairs, has p > 0.05 (the leader itself is the last resort).
3. The graph is worth it when the choice is a graph model and is ahead of the best model without a graph (p <= 0.05).
   A graph model that is chosen only because it is simpler is worth it for its cost, and the sentence says that.
4. The graph is not worth it when the choice is another model, and no graph model is ahead of it, is missing, or was
   stopped while it still got better. Where one is missing or was stopped, the question stays open.

A rule for each note stands beside it. Everything here sees numbers of the test part, but chooses by them only between
models that the validation part could not tell apart.
"""

from collections.abc import Mapping, Sequence

from pinfold.evaluation.intervals import PairedTest
from pinfold.studies.comparison import Advice, Judged, Refused, compared

ALPHA = 0.05
FEW_USERS = 200  # fewer give intervals so wide that most differences are hidden
COLD = 0.05  # share of hidden events on unknown items from which it is said
GRAPH_MODELS = frozenset({"gf-cf", "chebycf", "ngcf", "gcn", "sgc", "lightgcn", "pinsage"})
TITLES = {
    "popularity": "popularity", "item-knn": "item-kNN", "ease": "EASE", "gf-cf": "GF-CF", "mf": "MF",
    "lightgcn": "LightGCN", "pinsage": "PinSage",
}  # fmt: skip
Tests = Mapping[tuple[str, str], PairedTest]


def title(name: str) -> str:
    """How a model is written in text."""
    return TITLES.get(name, name)


def best_simple(models: Sequence[Judged]) -> str | None:
    """The model without a graph that is best on the validation part; None where all use the graph."""
    simple = [model for model in models if model.name not in GRAPH_MODELS]
    return max(simple, key=lambda model: model.learning.validation).name if simple else None


def advise(
    models: Sequence[Judged], tests: Tests, metric: str, *, refused: Sequence[Refused] = (), cold_share: float = 0.0
) -> Advice:
    """The advice on models given simplest first; see the head of this file for the rules."""
    leader = max(models, key=lambda model: model.learning.validation)
    choice = next(m for m in models if m is leader or not _behind(tests, m.name, leader.name))
    is_graph = choice.name in GRAPH_MODELS
    unfinished = [m.name for m in models if _cut_short(m)] + [r.name for r in refused]
    is_open = any(name in GRAPH_MODELS for name in unfinished)
    sentence = (
        f"{_lead(choice, models, tests, metric, is_open=is_open)}, learned in {seconds_text(choice.learning.seconds)}"
        f"{_rest(choice, models, tests)}."
    )
    return Advice(choice.name, is_graph, sentence, tuple(_notes(models, refused, cold_share)))


def _lead(choice: Judged, models: Sequence[Judged], tests: Tests, metric: str, *, is_open: bool) -> str:
    """`Use GF-CF: recall@20 .725, .078 above item-kNN, the best model without a graph (p < .001)`."""
    score = f"{metric} {number(choice.evaluation.intervals[metric].mean)}"
    if choice.name not in GRAPH_MODELS:
        rivals = [compared(tests, model.name, choice.name) for model in models if model.name in GRAPH_MODELS]
        beaten = rivals and not any(_ahead(test) for test in rivals)
        start = "The graph is not worth it here: use" if beaten else "Use"
        if is_open:
            start = "Whether the graph is worth it stays open (see below); until then use"
        return f"{start} {title(choice.name)}, {score}"
    reference = best_simple(models)
    if reference is None:
        return f"Use {title(choice.name)}: {score}"
    test = compared(tests, choice.name, reference)
    if _ahead(test):
        return (
            f"Use {title(choice.name)}: {score}, {number(test.difference)} above {title(reference)}, the best model "
            f"without a graph ({p_text(test.p_value)})"
        )
    other = next(model for model in models if model.name == reference)
    return (
        f"Use {title(choice.name)}: {score}, as good as {title(reference)}, the best model without a graph "
        f"(difference {number(test.difference, sign=True)}, {p_text(test.p_value)}; {title(reference)} learned in "
        f"{seconds_text(other.learning.seconds)})"
    )


def _rest(choice: Judged, models: Sequence[Judged], tests: Tests) -> str:
    """What the more costly or rival graph models reached beside the choice."""
    rivals = [m for m in models if m.name in GRAPH_MODELS and m is not choice]
    said = []
    for rival in rivals:
        test = compared(tests, rival.name, choice.name)
        if test.p_value > ALPHA:
            said.append(f"{title(rival.name)} is not ahead of it ({_gap(test)})")
        elif test.difference > 0:
            said.append(
                f"{title(rival.name)} had the worse validation score but is ahead on the test part ({_gap(test)})"
            )
        else:
            said.append(f"{title(rival.name)} is behind it ({_gap(test)})")
    return "".join(f"; {words}" for words in said)


def _notes(models: Sequence[Judged], refused: Sequence[Refused], cold_share: float) -> list[str]:
    """What must be known besides."""
    notes = [f"{title(r.name)} is missing: {r.reason}" for r in refused]
    for model in models:
        learning = model.learning
        if _cut_short(model):
            why = "stopped by its share of the time" if learning.ended == "time" else "stopped by train.epochs"
            notes.append(
                f"{title(model.name)} was {why} while it still got better (epoch {learning.epochs}): with more time it "
                "may stand higher."
            )
    n_users = models[0].evaluation.n_users
    if n_users < FEW_USERS:
        notes.append(f"Only {n_users} users were asked: differences that are there may not show.")
    if cold_share >= COLD:
        able = [title(model.name) for model in models if model.abilities.new_items]
        who = f"only {' and '.join(able)} can recommend them" if able else "none of these models can recommend them"
        notes.append(f"{cold_share:.0%} of the hidden events are on items that nobody took before: {who}.")
    return notes


def _cut_short(model: Judged) -> bool:
    """Whether training was stopped while it still got better."""
    return model.learning.ended is not None and model.learning.best_epoch == model.learning.epochs


def _behind(tests: Tests, name: str, leader: str) -> bool:
    test = compared(tests, name, leader)
    return test.difference < 0 and test.p_value <= ALPHA


def _ahead(test: PairedTest) -> bool:
    return test.difference > 0 and test.p_value <= ALPHA


def _gap(test: PairedTest) -> str:
    return f"{number(test.difference, sign=True)}, {p_text(test.p_value)}"


def number(value: float, *, sign: bool = False) -> str:
    """`.725`, with a sign `+.078` or `-.004`."""
    text = f"{value:+.3f}" if sign else f"{value:.3f}"
    if text in ("-0.000", "+0.000"):
        return "0"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


def p_text(p: float) -> str:
    """`p < .001`, `p = .034`; 1 stays 1."""
    return "p < .001" if p < 0.001 else f"p = {number(p)}"


def seconds_text(seconds: float) -> str:
    """`0.04 s`, `3.1 s`, `75 s`, `21 min`."""
    if seconds < 1:
        return f"{max(seconds, 0.01):.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 300 else f"{seconds / 60:.0f} min"
