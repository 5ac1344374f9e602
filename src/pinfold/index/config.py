"""Options of the index."""

from typing import Annotated, Literal

from pydantic import Field

from pinfold.config import options

KindName = Literal["exact", "flat", "ivf", "hnsw"]
SMALL = 50_000  # items up to which scoring every one is fast enough (benchmarks/README.md)


@options
class IndexConfig:
    """How the nearest items are found."""

    kind: Annotated[
        Literal["auto", "exact", "flat", "ivf", "hnsw"],
        Field(
            description="exact: every item is scored, and nothing is stored; flat: the same by faiss; ivf: the nearest "
            "lists of a clustering are searched; hnsw: a graph of neighbors, slow to build; auto: exact up to 50,000 "
            "items, else ivf"
        ),
    ] = "auto"
    recall: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="ivf, hnsw: the share of the true 10 nearest items that must be found; probes or ef are chosen "
            "for it when the index is built",
        ),
    ] = 0.95
    bits: Annotated[
        Literal[8, 32],
        Field(
            description="flat, ivf, hnsw: of each stored number; 8 is faster, takes a quarter of the memory, and what "
            "it finds is scored again with the vectors themselves"
        ),
    ] = 8
    lists: Annotated[int, Field(ge=0, le=1_000_000, description="ivf: clusters; 0: 4 times the root of the items")] = 0
    probes: Annotated[
        int, Field(ge=0, le=1_000_000, description="ivf: lists searched for a query; 0: as many as `recall` needs")
    ] = 0
    neighbors: Annotated[int, Field(ge=2, le=256, description="hnsw: neighbors kept of each item, M")] = 16
    ef_construction: Annotated[
        int, Field(ge=8, le=4096, description="hnsw: how many candidates are looked at to place an item")
    ] = 100
    ef: Annotated[
        int, Field(ge=0, le=65_536, description="hnsw: how many candidates a query keeps; 0: as many as `recall` needs")
    ] = 0


def chosen_kind(config: IndexConfig, n_items: int) -> KindName:
    """The kind of index for so many items."""
    if config.kind != "auto":
        return config.kind
    return "exact" if n_items <= SMALL else "ivf"
