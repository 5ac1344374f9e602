"""Options of an update."""

from typing import Annotated

from pydantic import Field

from pinfold.config import options


@options
class UpdateConfig:
    """How far what came spreads into what was there."""

    theta: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="an old item's neighborhood is made afresh when the chance that a walk's first step from it "
            "takes something new is higher; 0: wherever it can",
        ),
    ] = 0.05
    tolerance: Annotated[
        float,
        Field(
            ge=0,
            description="a layer's vector is computed again when what goes into it has moved by more, in proportion to "
            "its length; 0: wherever anything moved",
        ),
    ] = 0.05
    train: Annotated[
        int, Field(ge=0, description="epochs to go on training for, from the parameters there are; 0: none")
    ] = 0
