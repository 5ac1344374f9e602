"""What `pinfold tune` may vary: the part of a run file that says so."""

from typing import Annotated, Any

from pydantic import Field

from pinfold.config import options


@options
class Dimension:
    """The values that one option may take: choices, or a range with both ends in it."""

    choices: Annotated[tuple[Any, ...] | None, Field(min_length=1, description="the values, as a list")] = None
    low: Annotated[int | float | None, Field(description="the least value; whole numbers when both ends are")] = None
    high: Annotated[int | float | None, Field(description="the largest value")] = None
    log: Annotated[bool, Field(description="draw evenly on a logarithmic scale")] = False


@options
class TuneConfig:
    """What `pinfold tune` varies, and for how long; `pinfold train` does not look at it."""

    space: Annotated[
        dict[str, Dimension],
        Field(
            min_length=1,
            description='option -> its values, as in `"model.dim" = {choices = [32, 64]}` or `"train.learning_rate" = '
            "{low = 1e-4, high = 1e-1, log = true}`; whole numbers when both ends are; options of model and train only",
        ),
    ]
    trials: Annotated[int, Field(ge=1, description="how many in all, those of an earlier start in the folder too")] = 50
    minutes: Annotated[float | None, Field(gt=0, description="after these no further trial is started")] = None
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of the search; the trials' own is `seed`")] = 0
