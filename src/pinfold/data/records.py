"""Text files as blocks of records: every value as text, every record with its line, every broken line named.

The standard library reads, not DuckDB's CSV reader: `csv` and `json` say on which line a record stands, keep
"01" apart from "1", and go on after a broken line.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from pinfold.arrays import Longs, Strings
from pinfold.errors import DataError, did_you_mean, separator_hint

STEP = 4096  # lines per block; more no longer fit the processor's cache and parse half as fast
# Numbers stay as they are written: 1.0 would not survive an int, nor a long id a float.
CONSTANTS = {"NaN": None, "Infinity": "Infinity", "-Infinity": "-Infinity"}  # not JSON, but written: NaN is missing
DECODE = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=CONSTANTS.get).decode
PLACE = "place"  # the column of times of lines `user item item ...`
DAMAGE = (OSError, EOFError, zlib.error)  # what a cut off or damaged file raises in the middle of reading


class Bad(NamedTuple):
    """One record that cannot be used: where it stands and why."""

    row: int  # line in the file, from 1
    field: str  # the column at fault, empty when it is the whole line
    reason: str
    found: str
    expected: str
    text: str  # the record as it stands in the file


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of one file. Values are text, empty where missing."""

    rows: Longs  # (n,) line of each record, from 1
    values: dict[str, Strings]  # role ("user", "item", ...) -> (n,)
    bad: list[Bad] = field(default_factory=list)


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The lines of a file, unpacked when its name ends in .gz; bytes that are not UTF-8 become surrogates.

    Raises:
        DataError: the file is missing or cannot be opened.
    """
    try:
        binary = (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    with binary, io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield text


def read_records(path: Path, form: str, columns: Mapping[str, str]) -> Iterator[Block]:
    """The records of a csv, tsv, jsonl or lists file, block by block.

    Args:
        path: the file.
        form: "csv", "tsv", "jsonl" or "lists".
        columns: role -> name of its column in the file.

    Raises:
        DataError: the file is missing, empty, or lacks a column.
    """
    with open_text(path) as file:
        if form == "jsonl":
            blocks = _json_blocks(file, path, columns)
        elif form == "lists":
            blocks = _list_blocks(file, columns)
        else:
            blocks = _csv_blocks(file, path, "\t" if form == "tsv" else ",", columns)
        yield from (_decodable(block, columns) for block in blocks)


def read_header(file: TextIO, path: Path, delimiter: str) -> tuple[list[str], int]:
    """The column names of a delimited file and the lines that they take.

    Raises:
        DataError: there is no first line, or it does not name distinct columns.
    """
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
    except (csv.Error, *DAMAGE) as error:
        raise DataError(f"{path}:1: cannot be read: {error}") from error
    if header is None:
        raise DataError(f"{path}: is empty; expected a first line that names the columns")
    if any(mark < " " and mark not in "\t\r\n" for mark in "".join(header)):
        raise DataError(f"{path}:1: found bytes that are no text; expected UTF-8, and names of packed files end in .gz")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not header:
        found = f"{twice[0]!r} twice" if twice else "a blank line"
        raise DataError(f"{path}:1: expected a line that names each column once, found {found}")
    return [shown(name) for name in header], reader.line_num


def require(path: object, found: Iterable[str], columns: Mapping[str, str]) -> None:
    """Raise unless every column of `columns` (role -> name) is among those found.

    Raises:
        DataError: names the columns found and the option to set.
    """
    found = list(found)
    for role, name in columns.items():
        if name not in found:
            listed = ", ".join(known if known.isprintable() else repr(known) for known in found) or "none"
            hint = separator_hint(found)
            near = "" if hint else did_you_mean(name, found)
            hint = hint or f"; say which column is the {role} with --{role} NAME"
            raise DataError(f"{path}: no column {name!r}{near} (found: {listed}){hint}")


def shown(text: str) -> str:
    """The text with undecodable bytes written out, so that it can be stored and printed."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def as_line(values: Iterable[str]) -> str:
    """The values as one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return shown(line.getvalue())


def _line_blocks(file: TextIO, first: int) -> Iterator[tuple[int, list[str], list[Bad]]]:
    """Line number of the first line, the lines, and a Bad at the end of a file that breaks off."""
    whole = True
    while whole:
        lines: list[str] = []
        bad: list[Bad] = []
        try:
            for line in islice(file, STEP):
                lines.append(line)  # noqa: PERF402 (what was read before the damage is kept)
        except DAMAGE as error:
            expected = "a whole file; what follows cannot be read"
            bad.append(Bad(first + len(lines), "", "file cut off", str(error), expected, ""))
            whole = False
        if not lines and whole:
            return
        yield first, lines, bad
        first += len(lines)


def _csv_blocks(file: TextIO, path: Path, delimiter: str, columns: Mapping[str, str]) -> Iterator[Block]:
    header, taken = read_header(file, path, delimiter)
    require(path, header, columns)
    places = {role: header.index(name) for role, name in columns.items()}
    rest: list[str] = []  # lines of a record that goes on in the next block
    after = taken + 1
    for first, lines, bad in _line_blocks(file, after):
        after = first + len(lines)
        rows, records, rest = _parse(rest + lines, first - len(rest), delimiter, bad)
        yield _pick(rows, records, places, len(header), bad)
    if rest:
        bad = []
        rows, records, _ = _parse(rest, after - len(rest), delimiter, bad, last=True)
        yield _pick(rows, records, places, len(header), bad)


def _parse(
    lines: list[str], first: int, delimiter: str, bad: list[Bad], *, last: bool = False
) -> tuple[list[int], list[list[str]], list[str]]:
    """Line numbers and records of the lines, and the lines of a last record that is not complete."""
    try:
        records = list(csv.reader(lines, delimiter=delimiter, strict=True))
        if len(records) == len(lines):  # no record spans lines: the common case, at the speed of C
            return list(range(first, first + len(lines))), records, []
    except csv.Error:
        pass
    rows, records, start = [], [], 0
    while start < len(lines):
        reader = csv.reader((lines[n] for n in range(start, len(lines))), delimiter=delimiter, strict=True)
        begun = start
        try:
            for record in reader:
                rows.append(first + start)
                records.append(record)
                start = begun + reader.line_num
        except csv.Error as error:
            if begun + reader.line_num == len(lines) and not last and "limit" not in str(error):
                return rows, records, lines[start:]
            text = shown(lines[start].rstrip("\r\n"))
            reason = "endless field" if "limit" in str(error) else "broken quoting"
            bad.append(Bad(first + start, "", reason, str(error), "quotes in pairs around a field", text))
            start += 1  # only this line is lost; the next one may be sound
    return rows, records, []


def _pick(rows: list[int], records: list[list[str]], places: dict[str, int], width: int, bad: list[Bad]) -> Block:
    """The wanted columns of the records that have as many fields as the header."""
    if set(map(len, records)) - {width}:
        kept = []
        for row, record in zip(rows, records, strict=True):
            if len(record) == width:
                kept.append((row, record))
            elif record:  # a blank line is no record
                found = f"{len(record)} columns"
                bad.append(Bad(row, "", "wrong number of columns", found, f"{width} as in line 1", as_line(record)))
        rows, records = [row for row, _ in kept], [record for _, record in kept]
    values = {role: _strings(map(itemgetter(place), records), len(records)) for role, place in places.items()}
    return Block(np.array(rows, dtype=np.int64), values, bad)


def _json_blocks(file: TextIO, path: Path, columns: Mapping[str, str]) -> Iterator[Block]:
    checked = False
    for first, lines, bad in _line_blocks(file, 1):
        rows, records = [], []
        for row, line in enumerate(lines, first):
            if not line.strip():
                continue
            found = _json_object(row, line)
            if isinstance(found, dict) and not checked:  # the first object stands in for a header
                require(path, found, columns)
                checked = True
            values = _json_values(row, found, columns) if isinstance(found, dict) else found
            if isinstance(values, Bad):
                bad.append(values._replace(text=shown(line.rstrip())))
            else:
                rows.append(row)
                records.append(values)
        yield _pick(rows, records, {role: n for n, role in enumerate(columns)}, len(columns), bad)


def _json_object(row: int, line: str) -> dict[str, object] | Bad:
    try:
        value = DECODE(line)
    except (ValueError, RecursionError) as error:
        return Bad(row, "", "broken JSON", str(error), "one JSON object per line", "")
    if isinstance(value, dict):
        return value
    return Bad(row, "", "broken JSON", type(value).__name__, "one JSON object per line", "")


def _json_values(row: int, record: dict[str, object], columns: Mapping[str, str]) -> list[str] | Bad:
    values = []
    for name in columns.values():
        value = record.get(name)
        if value is not None and not isinstance(value, str):
            return Bad(row, name, "wrong type", json.dumps(value), "text or a number", "")
        values.append(value or "")
    return values


def _list_blocks(file: TextIO, columns: Mapping[str, str]) -> Iterator[Block]:
    """Lines `user item item ...`, an item's time its place in the line; a user alone has no events: no fault."""
    places = {role: n for n, role in enumerate(("user", "item", "time")) if role in columns}
    for first, lines, bad in _line_blocks(file, 1):
        rows, records = [], []
        for row, line in enumerate(lines, first):
            user, *items = line.split() or [""]
            rows += [row] * len(items)
            records += [[user, item, str(place)] for place, item in enumerate(items)]
        yield _pick(rows, records, places, 3, bad)


def _decodable(block: Block, columns: Mapping[str, str]) -> Block:
    """The block without the records that hold bytes that are not UTF-8."""
    if all(_is_utf8("".join(values)) for values in block.values.values()):
        return block
    kept = np.ones(len(block.rows), dtype=np.bool_)
    bad = list(block.bad)
    for n, record in enumerate(zip(*block.values.values(), strict=True)):
        for role, value in zip(block.values, record, strict=True):
            if kept[n] and not _is_utf8(value):
                kept[n] = False
                row = int(block.rows[n])
                bad.append(Bad(row, columns[role], "not UTF-8", shown(value), "text in UTF-8", as_line(record)))
    return Block(block.rows[kept], {role: values[kept] for role, values in block.values.items()}, bad)


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strings(values: Iterable[str], n: int) -> Strings:
    return np.fromiter(values, dtype=object, count=n)
