"""Every error that Pinfold raises on purpose.

PinfoldError
├── ConfigError      a run file or an option says something that cannot be
├── DataError        an input file, a table or an id is not what it should be
│   └── NotFoundError    an id that nothing has
├── TrainingError    training cannot go on: loss not finite, checkpoint of another run
├── RequestError     a request to the service that cannot be answered, and the field that is wrong
├── ServiceError     what the client of the service was answered instead of a result
├── ArtifactError    a folder that Pinfold wrote is missing, damaged or of another version
├── EngineError      a cluster cannot be reached, or a job's workers cannot go on
│   └── WorkerLost       one of them died or did not answer; its stage can begin again
├── StoreError       the database of a service cannot be used: damaged, full, gone, taken by another server
└── ConflictError    an event's id comes again with other content

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


class NotFoundError(DataError):
    """Somebody asked for an item, a user or another thing by an id that nothing has."""


class TrainingError(PinfoldError):
    """Training cannot go on."""


class ArtifactError(PinfoldError):
    """A folder that Pinfold wrote is missing, damaged or of another version."""


class EngineError(PinfoldError):
    """A cluster cannot be reached, or a job's workers cannot go on."""


class WorkerLost(EngineError):  # noqa: N818 - it happened, and need not be the end
    """A worker died or did not answer in time; what it had sealed is still there, so its stage can begin again."""


class StoreError(PinfoldError):
    """The database of a service cannot be used."""


class ConflictError(PinfoldError):
    """An event's id comes again with other content."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position  # of the event in its batch, from 0


class RequestError(PinfoldError):
    """A request to the service that cannot be answered: an HTTP status, and the field that is wrong."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field  # such as body.events[3].user, or k for a part of the query


class ServiceError(PinfoldError):
    """What the client of the service was answered instead of a result; status 0: it could not be reached."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


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
