"""Options of features: which column is what."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from pinfold.config import options

Dim = Annotated[int, Field(ge=1, le=4096)]


@options
class TextColumn:
    """Text in words. By default TF-IDF of words and runs of words, reduced by truncated SVD, rows of length 1."""

    kind: Literal["text"] = "text"
    encoder: Annotated[
        str,
        Field(
            description="'tfidf'; 'sentence-transformers:' and a model's name or folder (`pinfold[text]`); or the name "
            "of an encoder that was passed from Python"
        ),
    ] = "tfidf"
    dim: Annotated[Dim | None, Field(description="components of the SVD; none given: that of all columns")] = None
    min_df: Annotated[int, Field(ge=1, description="texts a term must occur in")] = 2
    ngrams: Annotated[int, Field(ge=1, le=5, description="words of the longest run that is a term")] = 2
    max_terms: Annotated[int, Field(ge=1, description="most frequent terms that are kept")] = 50_000


@options
class CategoriesColumn:
    """One or several of a set of values: indicators weighted by IDF, rows of length 1, many values reduced by SVD."""

    kind: Literal["categories"] = "categories"
    separator: Annotated[str | None, Field(min_length=1, description="what stands between values in one text")] = None
    dim: Annotated[
        Dim | None, Field(description="components, where there are more values; none given: that of all columns")
    ] = None
    min_df: Annotated[int, Field(ge=1, description="rows a value must occur in")] = 1
    max_values: Annotated[int, Field(ge=1, description="most frequent values that are kept")] = 50_000


@options
class NumberColumn:
    """A number: mean 0 and deviation 1 over the training rows, cut off at 10 deviations."""

    kind: Literal["number"] = "number"
    log: Annotated[bool, Field(description="take sign(x) log(1 + |x|) first")] = False


@options
class DateColumn:
    """An ISO date, with or without a time of day: days as a number, month and weekday as places on a circle."""

    kind: Literal["date"] = "date"


@options
class VectorColumn:
    """A vector of numbers for each row: of images, or anything."""

    kind: Literal["vector"] = "vector"
    path: Annotated[
        str | None,
        Field(description="npy with one row for each row of the table, in its order; none given: a column of lists"),
    ] = None
    dim: Annotated[Dim | None, Field(description="components of the SVD; none given: all numbers")] = None
    normalize: Annotated[bool, Field(description="scale each vector to length 1")] = True


ColumnConfig = Annotated[
    TextColumn | CategoriesColumn | NumberColumn | DateColumn | VectorColumn, Field(discriminator="kind")
]


@options
class FeaturesConfig:
    """Which columns of the item and user tables are features, and what they are. The id never is one.

    A side for which no column is named has them inferred (see features/inference.py). Put into `ignore` what was
    computed from the interactions, such as the number of baskets that an item was in: it knows the events that are
    held out, so that every number judged on them is too good.
    """

    items: Annotated[dict[str, ColumnConfig], Field(description="columns of the item table, each with its kind")] = (
        field(default_factory=dict)
    )
    users: Annotated[dict[str, ColumnConfig], Field(description="columns of the user table, of the same kinds")] = (
        field(default_factory=dict)
    )
    auto: Annotated[
        tuple[Literal["items", "users"], ...],
        Field(description="sides whose columns are inferred when none is named; the others have no features then"),
    ] = ("items", "users")
    ignore: Annotated[
        tuple[str, ...],
        Field(description="columns that are not inferred; 'users.section' is that of users only"),
    ] = ()
    dim: Annotated[Dim, Field(description="components of each text or categories column")] = 128
