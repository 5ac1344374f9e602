import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pinfold.data.bundled import read_collections

TOOL = Path(__file__).parents[2] / "tools" / "make_debian.py"
SECOND_VERSION = """
Package: odd
Filename: pool/main/o/odd_1.deb
Section: misc
Description: the older version
Depends: aa, bb, cc, only-in-old
"""


def dump() -> str:
    """Three plain lists of aa, bb, cc; one list with every odd syntax; packages that must not come in."""
    stanzas = [stanza(name) for name in ("aa", "bb", "cc", "g++", "rare", "only-in-old")]
    stanzas += [stanza(f"plain{n}", f"Depends: aa, bb, cc, plain{n}") for n in range(3)]
    stanzas += [
        stanza(
            "odd",
            "Depends: aa (>= 1.0~rc1), bb:any (<< 2), bb,\n rare | cc,\n"
            "\tcc [amd64] <!nocheck> | aa,, virtual-thing, odd",
            "Pre-Depends: aa",
            "Recommends: g++(>=4), bb",
            "Suggests: g++, missing | bb",
            "Enhances: only-in-old",
            "Provides: virtual-thing",
            "Tag: role::program, implemented-in::c,\n implemented-in::c++",
            "Maintainer: Some Body <body@example.org>",
            description="odd: a tool, see odd@lists.example.org\n The long text.\n .\n With a dot: and a colon.",
        ),
        stanza("short", "Depends: aa, bb, rare"),
        stanza("gcc-user1", "Depends: g++"),
        stanza("gcc-user2", "Suggests: g++"),
        stanza("closed", "Depends: aa, bb, cc", filename="pool/non-free/c/closed_1.deb"),
        "Package: installed-here\nSection: misc\nDescription: no Filename\nDepends: aa, bb, cc\n",
        SECOND_VERSION.strip(),
    ]
    return "\n\n".join(stanzas) + "\n\n\n"


def stanza(name: str, *fields: str, filename: str = "", description: str = "a package") -> str:
    filename = filename or f"pool/main/{name[0]}/{name}_1.deb"
    head = (f"Package: {name}", f"Filename: {filename}", "Section: misc", f"Description: {description}")
    return "\n".join([*head, *fields])


def make(folder: Path, text: str, name: str = "out") -> subprocess.CompletedProcess[str]:
    folder.joinpath("dump.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, str(TOOL), "--dump", str(folder / "dump.txt"), "--about", "a test", str(folder / name)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debian")
    done = make(folder, dump())
    assert done.returncode == 0, done.stderr
    assert "collections                  4" in done.stdout
    return folder / "out"


def test_events_are_the_lists_with_the_strongest_relation(made: Path) -> None:
    events = duckdb.execute("SELECT collection, item, relation FROM read_parquet(?)", [str(made / "events.parquet")])
    plain = [(f"plain{n}", item, "depends") for n in range(3) for item in ("aa", "bb", "cc")]
    odd = {"aa": "pre-depends", "bb": "depends", "cc": "depends", "g++": "recommends"}
    assert events.fetchall() == [("odd", item, relation) for item, relation in odd.items()] + plain


def test_items_have_attributes_and_no_addresses(made: Path) -> None:
    data = read_collections(made)
    assert data.items.all.tolist() == ["aa", "bb", "cc", "g++"]  # rare and only-in-old: too few lists
    assert data.users.all.tolist() == ["odd", "plain0", "plain1", "plain2"]  # short: two items are left
    assert data.user_table.columns["description"][0] == "odd: a tool, see (address)"
    assert data.user_table.columns["section"].tolist() == ["misc"] * 4
    assert set(data.item_table.columns) == {"description", "section", "tags"}
    for file in made.iterdir():
        assert b"example.org" not in file.read_bytes()


def test_tags_are_sorted_lists_or_null(tmp_path: Path) -> None:
    tagged = dump().replace("Package: cc", "Package: cc\nTag: role::program,\n implemented-in::c++, implemented-in::c")
    assert make(tmp_path, tagged).returncode == 0
    tags = duckdb.execute("SELECT id, tags FROM read_parquet(?)", [str(tmp_path / "out/items.parquet")]).fetchall()
    assert dict(tags) == {
        "aa": None, "bb": None, "g++": None, "cc": ["implemented-in::c", "implemented-in::c++", "role::program"],
    }  # fmt: skip


def test_same_input_same_bytes(made: Path, tmp_path: Path) -> None:
    assert make(tmp_path, dump()).returncode == 0
    for file in made.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_source_says_what_was_read(made: Path) -> None:
    source = json.loads((made / "source.json").read_text(encoding="utf-8"))
    assert source["about"] == "a test"
    assert source["counts"] == {
        "packages": 13, "collections": 4, "items": 4, "events": 13, "items_with_tags": 0, "items_without_events": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [("", "is this a dump"), ("Package: aa\nnonsense\n", "line 2: expected")])
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str, message: str) -> None:
    done = make(tmp_path, text)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
