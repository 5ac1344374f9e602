"""Run files: TOML in, frozen dataclasses out; unknown names and wrong types are errors with a path."""

import json
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin

import tomli_w
from pydantic import ConfigDict, TypeAdapter, ValidationError

from pinfold.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass whose fields are options of a run file.

    Fields are annotated `Annotated[int, Field(ge=1, description="...")]`: the range is checked when a run file
    is read, and the description is what the documentation prints. Types are strict: neither "3" nor true nor
    3.0 is an int, and nan and inf are no numbers; but 3 is a float.
    """
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    lines = [f"    {name}: {text}" for name, text in describe(made).items()]
    made.__doc__ = "\n".join([made.__doc__ or "", "", "Attributes:", *lines])  # so that help() and --help say it
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # type: ignore[attr-defined]
    return made


def describe(cls: type) -> dict[str, str]:
    """Each option of an `options` class and what it is for."""
    described: dict[str, str] = {}
    for option in fields(cls):
        notes = getattr(option.type, "__metadata__", ())
        described[option.name] = next((note.description for note in notes if getattr(note, "description", None)), "")
    return described


def read_run(path: Path, cls: type[T], overrides: tuple[str, ...] = ()) -> T:
    """The run file as `cls`, after overrides such as `train.epochs=3`.

    Raises:
        ConfigError: no such file, not TOML, an unknown option (with the nearest known name), a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    for override in overrides:
        _apply(tree, override)
    return parse(tree, cls, str(path))


def parse(tree: dict[str, Any], cls: type[T], where: str) -> T:
    """A checked `cls` from a tree of plain values; `where` starts every message."""
    try:
        # By way of JSON, because strict Python values would have to be tuples and paths, which TOML does not have.
        return TypeAdapter(cls).validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        lines = [f"{where}: {_say(problem, cls)}" for problem in _merged(error.errors(include_url=False))]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from error


def parse_overrides(cls: type[T], overrides: tuple[str, ...], start: T | None = None) -> T:
    """The defaults of `cls`, or `start`, with other values for some options, such as `train.epochs=3`.

    Raises:
        ConfigError: an unknown option, or a wrong value.
    """
    tree: dict[str, Any] = {}
    if start is not None:
        tree = TypeAdapter(cls).dump_python(start, mode="json", exclude_none=True)
    for override in overrides:
        _apply(tree, override)
    return parse(tree, cls, "--set")


def to_toml(run: object) -> str:
    """The resolved options as TOML text; options without a value are left out."""
    tree: dict[str, Any] = TypeAdapter(type(run)).dump_python(run, mode="json", exclude_none=True)
    return tomli_w.dumps(tree)


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one `table.option=value`; the value is TOML, or a bare string where it is not."""
    name, equals, text = override.partition("=")
    *tables, option = name.strip().split(".")
    if not equals or not option or not all(tables):
        raise ConfigError(f"--set {override}: expected table.option=value, such as train.epochs=3")
    try:
        found = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        found = {}
    value = found["value"] if len(found) == 1 else text.strip()
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {table} is not a table")
    tree[option] = value


def _merged(problems: list[Any]) -> list[Any]:
    """The problems, those of an untagged union as one: pydantic has one for each member, whose type is in the path."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for problem in problems:
        if problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"]:
            continue  # pydantic does not count wrong entries; they have messages of their own
        path = problem["loc"]
        place = next((i for i, part in enumerate(path) if str(part).startswith(("literal[", "tuple["))), len(path))
        found.setdefault(path[:place], []).append(problem | {"loc": path[:place] + path[place + 1 :]})
    merged: list[Any] = []
    for option, several in found.items():
        deeper = [problem for problem in several if len(problem["loc"]) > len(option)]  # an entry of a list is wrong
        expected = " or ".join(dict.fromkeys(problem["msg"].removeprefix("Input should be ") for problem in several))
        merged += deeper or [several[0] | ({"msg": f"Input should be {expected}"} if len(several) > 1 else {})]
    return merged


def _say(problem: Any, cls: type) -> str:
    """One pydantic problem as `model.dmi: unknown option; did you mean 'dim'?`."""
    path = [str(part) for part in problem["loc"]]
    owner, shown = _walk(cls, path)
    name = ".".join(shown)
    match problem["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = [f.name for f in fields(owner)] if is_dataclass(owner) else []
            return f"{name}: unknown option{did_you_mean(path[-1], known)} (known: {', '.join(known)})"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{name}: missing; it has no default"
        case "union_tag_invalid":
            context = problem["ctx"]
            known = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
            near = did_you_mean(str(context["tag"]), known)
            tag = context["discriminator"].strip("'")
            return f"{name}.{tag}: unknown {tag} {context['tag']!r}{near} (known: {', '.join(known)})"
        case "union_tag_not_found":
            choices = _type(owner, path[-1]) if is_dataclass(owner) else owner
            known = [tag for member in get_args(_plain(choices)) if (tag := _tag(member))]
            tag = problem["ctx"]["discriminator"].strip("'")
            return f"{name}.{tag}: missing; say which one (known: {', '.join(known)})"
        case "dict_type" | "dataclass_type":
            return f"{name}: expected a table, got {problem['input']!r}"
        case "json_invalid":  # text from the command line that is not Unicode, or tables nested without end
            return f"cannot be read: {problem['msg']}"
        case _:
            return f"{name}: {problem['msg']}, got {problem['input']!r}"


def _walk(cls: Any, path: list[str]) -> tuple[Any, list[str]]:
    """The dataclass that owns the last name of `path`, and the path without union tags."""
    shown: list[str] = []
    owner = cls
    for position, part in enumerate(path):
        choice = _tagged(owner, part)
        if choice is not None:
            owner = choice
            continue
        shown.append(part)
        if position < len(path) - 1 and is_dataclass(owner):
            owner = _type(owner, part)
        elif get_origin(owner) is dict:  # a table whose names are the user's
            owner = _plain(get_args(owner)[1])
        elif get_origin(owner) is tuple:  # a list of tables
            owner = _plain(get_args(owner)[0])
    return owner, shown


def _tagged(annotation: Any, tag: str) -> type | None:
    """The member of a union of options whose `name` or `kind` is this tag."""
    for member in get_args(annotation):
        if _tag(member) == tag:
            return member  # type: ignore[no-any-return]
    return None


def _tag(member: Any) -> str | None:
    """The `name` or `kind` that picks this member of a union of options; None where it is no such member."""
    names = [f.default for f in fields(member) if f.name in ("name", "kind")] if is_dataclass(member) else []
    return str(names[0]) if names else None


def _type(cls: Any, option: str) -> Any:
    """The type of one option, without `Annotated[...]` around it and `| None` behind it."""
    annotation: Any = next((f.type for f in fields(cls) if f.name == option), None)
    annotation = _plain(annotation)
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if NoneType in get_args(annotation) and len(members) == 1 else annotation


def _plain(annotation: Any) -> Any:
    """The type without `Annotated[...]` around it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
