"""What a study of a run file varies, measures and expects: what `pinfold reproduce` does with a table [study]."""

from dataclasses import field
from typing import Annotated, Any

from pydantic import Field

from pinfold.config import options
from pinfold.evaluation.cold import ColdConfig
from pinfold.evaluation.item_pairs import ItemPairsConfig

Seed = Annotated[int, Field(ge=0, lt=2**63)]


@options
class GroupConfig:
    """Variants of the run that are shown in one table."""

    variants: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description='by name, the options that are other than in the run file: `"model.pooling" = "max"`, or a '
            'whole table: `model = {name = "walk"}`; of model, features and train only. An empty table is the run'
        ),
    ] = field(default_factory=dict)
    seeds: Annotated[int | None, Field(ge=1, description="only so many of the study's seeds; none: all")] = None


@options
class BlendGroupConfig:
    """Two variants or more whose scores for an item are added, with weights fitted on pairs of the validation part."""

    members: Annotated[tuple[str, ...], Field(description="names of variants; none: no such table")] = ()
    logs: Annotated[
        tuple[str, ...],
        Field(description="members whose scores are shares, such as walk, and of which the logs are added"),
    ] = ()
    metric: Annotated[str, Field(description="what the weights are fitted for: hit@K, mrr or mrr_scaled")] = "hit@10"
    seeds: Annotated[int | None, Field(ge=1, description="only so many of the study's seeds; none: all")] = None


@options
class ColdGroupConfig:
    """Items held out of everything, then asked for. Trained models run all their epochs: there is no selection."""

    variants: Annotated[
        tuple[str, ...], Field(description="names of variants that are asked without having seen the items")
    ] = ()
    ceilings: Annotated[
        tuple[str, ...], Field(description="names of variants that learn from everything but the questions")
    ] = ()
    items: Annotated[ColdConfig, Field(description="which items, and what is asked")] = ColdConfig()
    seeds: Annotated[int | None, Field(ge=1, description="only so many of the study's seeds; none: all")] = None


@options
class ExpectationConfig:
    """What should come out, as a mean over seeds; other figures make the exit code 1."""

    variant: Annotated[str, Field(description="whose figure")]
    metric: Annotated[str, Field(description="which figure, as its column is called")]
    group: Annotated[str, Field(description="in which table; '': the first that has the variant")] = ""
    against: Annotated[str, Field(description="the figure is divided by that of this variant; '': it is not")] = ""
    least: Annotated[float | None, Field(description="not below this")] = None
    most: Annotated[float | None, Field(description="not above this")] = None


@options
class StudyConfig:
    """Variants of one run on the same splits and the same questions, in tables; `pinfold train` does not look at it."""

    seeds: Annotated[
        tuple[Seed, ...],
        Field(min_length=1, description="one training of each variant each; a seed decides split and all else"),
    ] = (0, 1, 2)
    pairs: Annotated[ItemPairsConfig, Field(description="the item-to-item questions")] = ItemPairsConfig()
    groups: Annotated[dict[str, GroupConfig], Field(description="tables by their names, in this order")] = field(
        default_factory=dict
    )
    blend: Annotated[BlendGroupConfig, Field(description="the table 'blend'")] = BlendGroupConfig()
    cold: Annotated[ColdGroupConfig, Field(description="the table 'cold'")] = ColdGroupConfig()
    expect: Annotated[tuple[ExpectationConfig, ...], Field(description="what should come out")] = ()
