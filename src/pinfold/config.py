"""Run files: TOML in, frozen dataclasses out; unknown names and wrong types are errors with a path."""

import tomllib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform, get_args

import tomli_w
from pydantic import ConfigDict, TypeAdapter, ValidationError

from pinfold.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def options(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass whose fields are options of a run file.

    Fields are annotated `Annotated[int, Field(ge=1, description="...")]`: the range is checked when a run file
    is read, and the description is what the documentation prints.
    """
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=False)  # type: ignore[attr-defined]
    return made


def read_run(path: Path, cls: type[T], overrides: tuple[str, ...] = ()) -> T:
    """The run file as `cls`, after overrides such as `train.epochs=3`.

    Raises:
        ConfigError: no such file, not TOML, an unknown option (with the nearest known name), a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    for override in overrides:
        _apply(tree, override)
    return parse(tree, cls, str(path))


def parse(tree: dict[str, Any], cls: type[T], where: str) -> T:
    """A checked `cls` from a tree of plain values; `where` starts every message."""
    try:
        return TypeAdapter(cls).validate_python(tree)
    except ValidationError as error:
        lines = [f"{where}: {_say(problem, cls)}" for problem in error.errors(include_url=False)]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from error


def to_toml(run: object) -> str:
    """The resolved options as TOML text; options without a value are left out."""
    tree: dict[str, Any] = TypeAdapter(type(run)).dump_python(run, mode="json", exclude_none=True)
    return tomli_w.dumps(tree)


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one `table.option=value`; the value is TOML, or a bare string where it is not."""
    name, equals, text = override.partition("=")
    *tables, option = name.strip().split(".")
    if not equals or not option:
        raise ConfigError(f"--set {override}: expected table.option=value, such as train.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {table} is not a table")
    tree[option] = value


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
            return f"{name}.name: unknown name {context['tag']!r}{near} (known: {', '.join(known)})"
        case "union_tag_not_found":
            return f"{name}.name: missing; say which one"
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
            owner = next((_bare(f.type) for f in fields(owner) if f.name == part), None)
    return owner, shown


def _tagged(annotation: Any, tag: str) -> type | None:
    """The member of a union of options whose `name` is this tag."""
    for member in get_args(annotation):
        if is_dataclass(member) and any(f.name == "name" and f.default == tag for f in fields(member)):
            return member  # type: ignore[return-value]
    return None


def _bare(annotation: Any) -> Any:
    """An annotation without `Annotated[...]` around it."""
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
