"""Files of every format into the tables of staging, and what is said about rows that cannot be used."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pinfold.data import staging
from pinfold.data.records import PLACE
from pinfold.data.shards import check_columns, parquet, reading, records
from pinfold.data.sql import Connection, columns_of, literal, scalar
from pinfold.errors import ConfigError, DataError

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
EXAMPLES = 5  # bad rows that a message shows


def load_file(connection: Connection, file: int, path: Path, format_: str, columns: Mapping[str, str]) -> None:
    """Fill `raw` and `rejected` from one file, which becomes file number `file`.

    Raises:
        ConfigError: a lists file is asked for a weight or a time.
        DataError: the file is missing, empty, of no known ending, or lacks a column.
    """
    form = form_of(path, format_)
    if form == "lists" and ("weight" in columns or columns.get("time", PLACE) != PLACE):
        advice = f"leave those options out, or say --time {PLACE} if each line is in order of time"
        raise ConfigError(f"{path}: lines `user item item ...` have neither weight nor time; {advice}")
    before = _rows(connection)
    if form == "parquet":
        with reading(path):
            load_typed(connection, file, path, parquet(connection, file, path), columns)
    else:
        staging.load_text(connection, file, path, form, columns)
    if _rows(connection) == before:
        what = "is empty" if form in ("jsonl", "lists", "parquet") else "has a header and no rows"
        raise DataError(f"{path}: {what}; expected at least one event")


def load_typed(connection: Connection, file: int, where: object, source: str, columns: Mapping[str, str]) -> None:
    """Fill `raw` from a table expression with typed columns; its rows are counted from 1.

    Raises:
        DataError: a column is missing, or holds ids that are no ids.
    """
    check_columns(where, columns_of(connection, source), columns)
    connection.execute(f"INSERT INTO raw SELECT {file}, {records(source, columns)}")


def stop_at_rejected(connection: Connection, labels: Sequence[str], *, skip: bool) -> None:
    """Raise if there is any rejected row; with `skip`, they are all that there is.

    Raises:
        DataError: shows the first rows, counts all, and says what to do.
    """
    n = int(scalar(connection, "SELECT count(*) FROM rejected"))
    if not n:
        return
    query = "SELECT file, row, field, reason, found, expected FROM rejected ORDER BY file, row LIMIT $1"
    lines = []
    for file, row, field, reason, found, expected in connection.execute(query, [EXAMPLES]).fetchall():
        column = f" column {field!r}:" if field else ""
        lines.append(f"{labels[file]}:{row}:{column} {reason}: found {_short(found)}, expected {expected}")
    if n > EXAMPLES:
        lines.append(f"... and {n - EXAMPLES} more")
    verb = "row" if n == 1 else "rows"
    advice = "correct them, or leave them out with --bad-rows skip, which lists them in rejected.csv"
    if skip:
        advice = "correct them: without them nothing is left"
    raise DataError("\n".join([f"{n} {verb} cannot be used; {advice}", *lines]))


def write_rejected(connection: Connection, path: Path, labels: Sequence[str]) -> None:
    """Write every rejected row as CSV: file, row, column, reason, found, expected, text."""
    short = [Path(label).name for label in labels]
    names = ", ".join(map(literal, short if len(set(short)) == len(short) else labels))
    query = (
        f'SELECT ([{names}])[file + 1] AS file, row, field AS "column", reason, found, expected, text '
        f"FROM rejected ORDER BY ALL"
    )
    connection.execute(f"COPY ({query}) TO $path (FORMAT csv, HEADER)", {"path": str(path)})


def form_of(path: Path, format_: str) -> str:
    """csv, tsv, parquet, jsonl or lists: the format that is asked for, or with "auto" the one that the name tells.

    Raises:
        DataError: it is a folder, or of no known ending.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected a file of events")
    if format_ != "auto":
        return format_
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise DataError(
            f"{path}: the ending {ending!r} does not tell the format (known: {known}, each also with .gz); "
            "say it with --format csv, tsv, jsonl, parquet or lists"
        )
    return ENDINGS[ending]


def _rows(connection: Connection) -> int:
    return int(scalar(connection, "SELECT (SELECT count(*) FROM raw) + (SELECT count(*) FROM rejected)"))


def _short(found: str) -> str:
    return repr(found if len(found) <= 60 else found[:57] + "...")
