"""The stages of the embed job: the rounds of steps that all workers go through, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass

from pinfold.engine import joins
from pinfold.engine.interface import Engine, Options
from pinfold.engine.walks import run as walk

Go = Callable[[Engine, Options], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: afterwards every worker has a sealed folder of each of these names."""

    name: str
    run: Go
    parts: tuple[str, ...]


def stages(n_layers: int) -> tuple[Stage, ...]:
    """All stages in their order.

    A stage makes the parts that are missing or damaged, and no others; after `WorkerLost` and `revive` it is called
    again.

    Options of all of them, plain values:
        encoders: path of a sealed folder with the encoders of the items under the prefix `feature_`, of the users under
            `user_feature_`; without this the artifact's own.
        degree_mean, degree_deviation: in place of those of training (`Growth`).

    Args:
        n_layers: convolutions of the network.
    """
    layers = []
    for k in range(n_layers):
        layers += [_each(f"project{k}", "project", k), _joined(f"convolve{k}", "convolve", k)]
    return (
        Stage("graph", _graph, ("graph",)),
        _each("people", "people", 0),
        Stage("neighborhoods", _neighborhoods, ("neighborhoods",)),
        _joined("content", "content", 0),
        *layers,
        _each("vectors", "vectors", n_layers),
        _joined("users", "users", n_layers),
    )


def degree_scale(engine: Engine) -> tuple[float, float]:
    """Mean and deviation of log(1 + degree) over the items that somebody took; after the stage `graph`."""
    found = engine.run("degrees")
    n = sum(count for count, _, _ in found)
    if not n:
        return 0.0, 1.0
    mean = sum(count * own for count, own, _ in found) / n
    # squares around each worker's own mean, moved to the common one
    squares = sum(around + count * (own - mean) ** 2 for count, own, around in found)
    return mean, (squares / n) ** 0.5 or 1.0


def _each(name: str, step: str, layer: int) -> Stage:
    """A stage in which every worker needs its own parts alone."""

    def go(engine: Engine, options: Options) -> None:
        engine.run(step, {**options, "stage": name, "layer": layer})

    return Stage(name, go, (name,))


def _joined(name: str, step: str, layer: int) -> Stage:
    """A stage in which workers need rows of each other."""

    def go(engine: Engine, options: Options) -> None:
        own = {**options, "stage": name, "layer": layer}
        if not all(engine.run("is_whole", own)):
            joins.run(engine, step, own)

    return Stage(name, go, (name,))


def _graph(engine: Engine, options: Options) -> None:
    own = {**options, "stage": "graph"}
    if all(engine.run("is_whole", own)):
        return
    for turn in range(max(engine.run("graph.begin", own))):
        engine.exchange("graph.send", "graph.spill", {**own, "round": turn})
    engine.run("graph.build", own)


def _neighborhoods(engine: Engine, options: Options) -> None:
    own = {**options, "stage": "neighborhoods"}
    if not all(engine.run("is_whole", own)):
        walk(engine, own)
