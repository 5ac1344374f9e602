"""The bundled data set: Debian's package graph as collections (packages) of items (what they ask for).

    python tools/make_debian.py [--dump FILE] [--about TEXT] OUT_DIR
    cp OUT_DIR/* src/pinfold/data/debian/

OUT_DIR must not exist. The input is what `apt-cache dumpavail` prints, with the state of this machine left out
(an installed package of another origin would otherwise stand in for Debian's own), or a file saved from it.
The same input and DuckDB version give the same bytes.

The rules, in order:

1. Only component main: packages whose Filename starts with pool/main/ or pool/updates/main/. Of several
   versions the first in the dump stays; `apt-cache` prints one, the candidate.
2. A package's list is what Pre-Depends, Depends, Recommends and Suggests name: of `a | b` only `a`, without
   versions, architectures and build profiles. An item named by several fields keeps the strongest relation.
   A name that no package has is dropped, so virtual packages are; a package never lists itself.
3. One pass: items that at least 3 of all lists name, then lists that have at least 3 such items. Items lose
   lists in the second step and stay, some with none: they are the cold part of the catalogue.
"""

import argparse
import hashlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb
import numpy as np

from pinfold.artifacts import writing

DUMP = ("apt-cache", "-o", "Dir::State::status=/dev/null", "dumpavail")
RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests")  # strongest first
MIN_ITEMS = 3  # items of a list
MIN_LISTS = 3  # lists that name an item
NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+")  # Debian Policy 5.6.1
EMAIL = re.compile(r"[^\s<(]+@[^\s@]+\.\w+")
MAIN = re.compile(r"pool/(updates/)?main/")

Stanza = Mapping[str, str]  # field -> value, continuation lines joined by newlines
Lists = dict[str, dict[str, str]]  # package -> item -> relation


def main() -> None:
    """Read, filter, write, print the counts."""
    parser = argparse.ArgumentParser(description="Make the bundled Debian data set.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="saved output of apt-cache dumpavail")
    parser.add_argument("--about", default="", metavar="TEXT", help="release and dates of the indices, for source.json")
    args = parser.parse_args()

    dump = args.dump.read_bytes() if args.dump else subprocess.run(DUMP, check=True, capture_output=True).stdout
    packages = read_packages(dump.decode("utf-8"))
    items, lists = filtered({name: wanted(stanza, packages) for name, stanza in packages.items()})
    if not lists:
        raise SystemExit(f"{len(packages)} packages of main, none with a list of {MIN_ITEMS} items: is this a dump?")
    counts = {
        "packages": len(packages),
        "collections": len(lists),
        "items": len(items),
        "events": sum(len(wants) for wants in lists.values()),
        "items_with_tags": sum("Tag" in packages[item] for item in items),
        "items_without_events": len(set(items).difference(*lists.values())),
    }
    write(args.out, packages, items, lists, {
        "name": "debian",
        "about": args.about,
        "command": "python tools/make_debian.py",
        "dump_sha256": hashlib.sha256(dump).hexdigest(),
        "rule": f"items in at least {MIN_LISTS} of all lists, then lists of at least {MIN_ITEMS} such items; one pass",
        "counts": counts,
    })  # fmt: skip
    for name, count in counts.items():
        print(f"{name:21} {count:8,}")
    for path in sorted(args.out.iterdir()):
        print(f"{path.name:21} {path.stat().st_size:8,} bytes")


def stanzas(text: str) -> Iterator[Stanza]:
    """The stanzas of a Deb822 file."""
    fields: dict[str, str] = {}
    name = ""
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t" and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        else:
            raise SystemExit(f"line {number}: expected 'Field: value', got {line!r}")


def read_packages(text: str) -> dict[str, Stanza]:
    """Every package of main by name, in order of names."""
    packages: dict[str, Stanza] = {}
    for stanza in stanzas(text):
        if MAIN.match(stanza.get("Filename", "")):
            packages.setdefault(stanza["Package"], stanza)
    return dict(sorted(packages.items()))


def wanted(stanza: Stanza, packages: Mapping[str, Stanza]) -> dict[str, str]:
    """The packages that one package names, each with its strongest relation."""
    wants: dict[str, str] = {}
    for relation in RELATIONS:
        for alternatives in stanza.get(relation, "").split(","):
            found = NAME.match(alternatives.strip())
            if found and found[0] in packages and found[0] != stanza["Package"]:
                wants.setdefault(found[0], relation.lower())
    return wants


def filtered(lists: Lists) -> tuple[list[str], Lists]:
    """The items of the catalogue, and the lists that are long enough; both in order of names."""
    named = Counter(item for wants in lists.values() for item in wants)
    items = sorted(item for item, n in named.items() if n >= MIN_LISTS)
    catalogue = set(items)
    kept = {name: {item: wants[item] for item in sorted(catalogue & wants.keys())} for name, wants in lists.items()}
    return items, {name: wants for name, wants in sorted(kept.items()) if len(wants) >= MIN_ITEMS}


def attributes(names: Iterable[str], packages: Mapping[str, Stanza]) -> dict[str, list[str]]:
    """Id, first line of the description without e-mail addresses, section, and debtags joined by spaces."""
    stanzas = [packages[name] for name in names]
    return {
        "id": [stanza["Package"] for stanza in stanzas],
        "description": [EMAIL.sub("(address)", stanza.get("Description", "").split("\n")[0]) for stanza in stanzas],
        "section": [stanza.get("Section", "") for stanza in stanzas],
        "tags": [" ".join(sorted(set(re.split(r"[\s,]+", stanza.get("Tag", "").strip(", \n"))))) for stanza in stanzas],
    }


def write(out: Path, packages: Mapping[str, Stanza], items: list[str], lists: Lists, source: dict[str, object]) -> None:
    """Write the three tables and their source as one folder with a manifest."""
    events = [(name, item, relation) for name, wants in lists.items() for item, relation in wants.items()]
    columns = zip(("collection", "item", "relation"), zip(*events, strict=True), strict=True)
    with writing(out, "bundled") as folder:
        write_parquet(folder.path("events.parquet"), "*", {name: list(values) for name, values in columns})
        write_parquet(folder.path("collections.parquet"), "id, description, section", attributes(lists, packages))
        tags = "CASE WHEN tags <> '' THEN string_split(tags, ' ') END AS tags"
        write_parquet(folder.path("items.parquet"), f"id, description, section, {tags}", attributes(items, packages))
        folder.json("source.json", source)


def write_parquet(path: Path, select: str, columns: Mapping[str, list[str]]) -> None:
    """Write columns of strings through a SELECT list, in one row group, compressed hard."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("written", {name: np.array(values, dtype=object) for name, values in columns.items()})
        form = "FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 19, ROW_GROUP_SIZE 1048576"
        connection.execute(f"COPY (SELECT {select} FROM written) TO $path ({form})", {"path": str(path)})


if __name__ == "__main__":
    main()
