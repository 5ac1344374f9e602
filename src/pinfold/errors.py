"""Every error that Pinfold raises on purpose.

PinfoldError
├── ConfigError      a run file or an option says something that cannot be
├── DataError        an input file, a table or an id is not what it should be
├── TrainingError    training cannot go on: loss not finite, checkpoint of another run
└── ArtifactError    a folder that Pinfold wrote is missing, damaged or of another version

A message says what, where, what was found, what was expected, and what to do next. Wrong calls from
Python raise ValueError or TypeError as usual. Only `pinfold.cli.main` catches PinfoldError.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class PinfoldError(Exception):
    """The base of all errors raised on purpose."""


class ConfigError(PinfoldError):
    """A run file or an option says something that cannot be."""


class DataError(PinfoldError):
    """An input file, a table or an id is not what it should be."""


class TrainingError(PinfoldError):
    """Training cannot go on."""


class ArtifactError(PinfoldError):
    """A folder that Pinfold wrote is missing, damaged or of another version."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'dim'?` when a known word is near, else an empty string."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def separator_hint(header: Sequence[str]) -> str:
    """What to do where a header of one name looks like several names with another separator; else an empty string."""
    if len(header) == 1 and "\t" in header[0]:
        return "; the columns are separated by tabs: name the file .tsv, or events --format tsv"
    if len(header) == 1 and ";" in header[0]:
        return "; the columns are separated by ';': write the file anew with commas"
    return ""
