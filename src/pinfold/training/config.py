"""The options of training."""

from typing import Annotated, Literal

from pydantic import Field

from pinfold.config import options


@options
class TrainConfig:
    """How long and how fast to learn, when to look at the validation part, when to stop."""

    epochs: Annotated[int, Field(ge=1, description="most passes over the edges; patience stops earlier")] = 300
    seconds: Annotated[
        float | None,
        Field(
            gt=0,
            description="stop after the epoch in which so many seconds have passed; results then depend on the machine",
        ),
    ] = None
    learning_rate: Annotated[float, Field(gt=0, description="Adam's step size")] = 1e-2
    warmup_steps: Annotated[
        int,
        Field(
            ge=0,
            description="first steps over which the step size rises in a line to learning_rate; for batches k times "
            "larger try learning_rate up to k times larger (linear scaling rule), with a warm-up of about an epoch",
        ),
    ] = 0
    decay: Annotated[
        Literal["linear", "exponential"],
        Field(description="how the step size falls: in a line, see decay_epochs; or by decay_rate at each epoch"),
    ] = "linear"
    decay_epochs: Annotated[
        int,
        Field(
            ge=0, description="epochs over which the step size falls in a line to a fiftieth, where it stays; 0: never"
        ),
    ] = 0
    decay_rate: Annotated[
        float, Field(gt=0, le=1, description="factor of the step size from epoch to epoch, in the exponential decay")
    ] = 0.95
    validate_every: Annotated[int, Field(ge=1, description="epochs between two looks at the validation part")] = 5
    patience: Annotated[
        int, Field(ge=1, description="looks without a better validation score after which training stops")
    ] = 5
    metric: Annotated[
        Literal["recall", "ndcg", "map", "precision", "hit", "mrr", "f1", "item-hit"],
        Field(
            description="validation metric that selects the epoch, at the first of evaluation.ks; item-hit: whether "
            "the item that goes with a given one is found, for models of items such as pinsage; others: of users"
        ),
    ] = "recall"
    refit: Annotated[
        bool,
        Field(description="after selection, train afresh on training and validation part together, as many epochs"),
    ] = False
    device: Annotated[str, Field(description="cpu, cuda, cuda:1, mps")] = "cpu"
    processes: Annotated[
        int,
        Field(
            ge=1,
            description="each takes its share of every batch, on the cpu, with its share of the threads; same losses "
            "to rounding",
        ),
    ] = 1
    checkpoint_seconds: Annotated[
        float, Field(ge=0, description="least seconds between two checkpoints, each at the end of an epoch")
    ] = 60.0
