"""Write what the documentation takes from the code: the map, the options of run files, the commands.

Run by `make docs`; a test fails when the result is not what is committed.
"""

import ast
import inspect
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from pinfold.config import describe
from pinfold.run import RunConfig

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "pinfold"
COMMANDS = (
    "demo",
    "import",
    "check",
    "train",
    "evaluate",
    "compare",
    "reproduce",
    "tune",
    "recommend",
    "similar",
    "explain",
    "verify",
)
TAGS = ("name", "kind")  # options that pick one of several tables
START, END = "<!-- map: written by `make docs` -->", "<!-- end of map -->"


def architecture(text: str) -> str:
    """ARCHITECTURE.md with a fresh map between its two marks."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{map_of_modules()}\n{END}{after}"


def map_of_modules() -> str:
    """Each file and the first line of its docstring, room by room."""
    out = io.StringIO()
    paths = sorted(PACKAGE.glob("*.py"))
    out.write("| file | what it is |\n|---|---|\n")
    out.writelines(_row(path) for path in paths if path.name != "__init__.py")
    for room in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        out.write(f"| **`{room.name}/`** | **{_first_line(room / '__init__.py')}** |\n")
        out.writelines(_row(path) for path in sorted(room.glob("*.py")) if path.name != "__init__.py")
    return out.getvalue()


def _row(path: Path) -> str:
    return f"| `{path.relative_to(PACKAGE)}` | {_first_line(path)} |\n"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]


def run_files() -> str:
    """docs/run-files.md: every option of a run file."""
    out = io.StringIO()
    out.write("# Options of a run file\n\nWritten by `make docs` from the dataclasses themselves.\n\n")
    out.write(
        "A run file is TOML: one table for each heading below, `seed` above them all. Unknown names, wrong types "
    )
    out.write("and values out of range are refused before any work starts. `pinfold train --set table.option=value` ")
    out.write("changes one option for one run.\n")
    top = {f.name: f for f in fields(RunConfig)}
    out.write("\n## (top)\n\n")
    _options(out, RunConfig, only=["seed"])
    for name in [name for name in top if name != "seed"]:
        for cls in _classes(top[name].type):
            title = f"{name}, {_tag(cls)}" if _tag(cls) else name
            _section(out, f"[{title}]", cls)
        for path, cls in _nested(name, top[name].type).items():
            title = f"{path.partition('/')[0]}, {_tag(cls)}" if _tag(cls) else path
            _section(out, f"[{title}]", cls)
    return out.getvalue()


def _section(out: io.StringIO, title: str, cls: type) -> None:
    out.write(f"\n## {title}\n\n{inspect.cleandoc(cls.__doc__ or '').partition('Attributes:')[0].strip()}\n\n")
    _options(out, cls)


def _nested(path: str, annotation: Any) -> dict[str, type]:
    """The tables inside tables by where they stand, each once though several models have it."""
    found: dict[str, type] = {}
    for owner in _classes(annotation):
        for option in fields(owner):
            place = f"{path}.{option.name}"
            inner = [
                cls for cls in _classes(option.type) if not _tag(cls).startswith("kind") or cls not in found.values()
            ]
            found |= {f"{place}/{_tag(cls)}" if _tag(cls) else place: cls for cls in inner}
            found |= _nested(place, option.type)
    return found


def _options(out: io.StringIO, cls: type, only: list[str] | None = None) -> None:
    chosen = [f for f in fields(cls) if f.name in (only or [x.name for x in fields(cls)]) and f.name not in TAGS]
    if not chosen:
        out.write("No options.\n")
        return
    out.write("| option | default | what |\n|---|---|---|\n")
    texts = describe(cls)
    for option in chosen:
        made = option.default if option.default_factory is MISSING else option.default_factory()
        default = "required" if made is MISSING else f"`{_shown(made)}`"
        out.write(f"| `{option.name}` | {default} | {texts[option.name].replace('|', chr(92) + '|')} |\n")


def _shown(default: object) -> str:
    """A table has its own heading; of one out of several its name is the default."""
    if is_dataclass(default) and not isinstance(default, type):
        return _tag(type(default)) or "a table, see below"
    return repr(default)


def _classes(annotation: Any) -> Iterator[type]:
    """The option classes in an annotation, those of a union one by one."""
    if is_dataclass(annotation) and isinstance(annotation, type):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _classes(part)


def _tag(cls: type) -> str:
    return next((f'{f.name} = "{f.default}"' for f in fields(cls) if f.name in TAGS), "")


def commands() -> str:
    """docs/commands.md: what `--help` prints."""
    out = io.StringIO()
    out.write("# Commands\n\nWritten by `make docs`: what `--help` prints.\n")
    for name in COMMANDS:
        program = [sys.executable, "-c", "from pinfold.cli import main; main()", name, "--help"]
        env = {"COLUMNS": "100", "PATH": "", "NO_COLOR": "1", "TERM": "dumb"}
        text = subprocess.run(program, capture_output=True, text=True, check=True, env=env).stdout
        shown = "\n".join(line.rstrip() for line in text.strip().splitlines())
        out.write(f"\n## pinfold {name}\n\n```text\n{shown}\n```\n")
    return out.getvalue()


def pages() -> dict[Path, str]:
    """Every generated page and what it should hold."""
    page = ROOT / "ARCHITECTURE.md"
    return {
        page: architecture(page.read_text()),
        ROOT / "docs" / "run-files.md": run_files(),
        ROOT / "docs" / "commands.md": commands(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
