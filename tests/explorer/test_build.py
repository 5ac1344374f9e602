"""The wheel's build hook: the page where npm is, a reason where it is not, and never a failure."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "hatch_build.py"
BUILDS = (
    '[ "$1" = ci ] || { mkdir -p ../src/pinfold/serving/web && echo page > ../src/pinfold/serving/web/index.html; }'
)


@pytest.fixture
def build() -> Callable[[Path], str | None]:
    spec = importlib.util.spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Path], str | None] = module.build
    return found


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree in which `npm` does what `npm(script)` says; until then there is none."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.delenv("PINFOLD_NO_WEB", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: str(p) if (p := tmp_path / "bin" / name).is_file() else None)
    return tmp_path


def npm(tree: Path, script: str) -> None:
    path = tree / "bin" / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_npm_makes_the_page(tree: Path, build: Callable[[Path], str | None]) -> None:
    npm(tree, BUILDS)
    assert build(tree) is None
    assert (tree / "src/pinfold/serving/web/index.html").read_text() == "page\n"


def test_a_failing_npm_is_a_reason(tree: Path, build: Callable[[Path], str | None]) -> None:
    npm(tree, "echo no network >&2; exit 3")
    assert build(tree) == "npm ci --no-audit --no-fund ended with 3: no network"
    npm(tree, "exit 0")
    assert build(tree) == "npm made no src/pinfold/serving/web/index.html"


def test_without_npm_what_was_built_before_is_taken(tree: Path, build: Callable[[Path], str | None]) -> None:
    assert "npm is not installed" in str(build(tree))
    built = tree / "src/pinfold/serving/web/index.html"
    built.parent.mkdir(parents=True)
    built.write_text("page")
    assert build(tree) is None


def test_it_can_be_left_out(tree: Path, build: Callable[[Path], str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tree, BUILDS)
    (tree / "web" / "package.json").unlink()
    assert build(tree) == "its sources (web/) are not here"
    monkeypatch.setenv("PINFOLD_NO_WEB", "1")
    assert build(tree) == "PINFOLD_NO_WEB is 1"
