"""What a run file says that its result should be: what `pinfold reproduce` compares with."""

from typing import Annotated

from pydantic import Field

from pinfold.config import options

Share = Annotated[float, Field(ge=0, le=1)]


@options
class ReproduceConfig:
    """What was published, and what is to come out here; `pinfold train` does not look at it."""

    data: Annotated[
        str | None,
        Field(
            description="a public data set that Pinfold knows, such as 'gowalla'; in place of data.path and data.test"
        ),
    ] = None
    source: Annotated[str, Field(description="who published the figures, and where")] = ""
    published_recall: Annotated[Share | None, Field(description="as published, at the first of evaluation.ks")] = None
    published_ndcg: Annotated[Share | None, Field(description="as published, likewise")] = None
    expected_recall: Annotated[
        tuple[Share, Share] | None,
        Field(description="least and most test recall, mean over seeds, of the model selected on validation"),
    ] = None
    expected_ndcg: Annotated[tuple[Share, Share] | None, Field(description="the same for NDCG")] = None
    pass_recall: Annotated[
        Share | None, Field(description="report the seconds of training until the test recall passed this")
    ] = None
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        Field(min_length=1, description="one training each; a seed decides split, first vectors and batches"),
    ] = (0, 1, 2)
