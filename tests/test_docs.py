"""What the documentation says is what the code does."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from pinfold.config import describe, read_run
from pinfold.run import RunConfig

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(generator: ModuleType) -> None:
    for path, text in generator.pages().items():
        assert path.read_text() == text, f"{path.name} is stale: run `make docs`"


def test_every_option_is_described(generator: ModuleType) -> None:
    for cls in [RunConfig, *generator._classes(RunConfig.__annotations__["model"])]:
        for name, text in describe(cls).items():
            if name not in {"name", "data", "model", "features", "split", "train", "evaluation", "index"}:
                assert text, f"{cls.__name__}.{name} has no description"


@pytest.mark.parametrize("path", sorted((ROOT / "runs").glob("*.toml")), ids=lambda p: p.name)
def test_run_files_parse_and_say_their_command(path: Path) -> None:
    text, run = path.read_text(), read_run(path, RunConfig)
    commands = [f"#   pinfold train runs/{path.name} out"]
    if run.reproduce is not None or run.study is not None:
        commands += [f"#   pinfold reproduce {path.stem}{rest}" for rest in ("\n", " --data ")]
    assert any(command in text for command in commands)


def test_readme_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    rows = [f"u{user},i{item}" for user in range(40) for item in range(30) if (user + item) % 2 == 0 and user != item]
    (tmp_path / "events.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        shortened = block.replace("epochs=50", "epochs=2")
        exec(compile(shortened, "README.md", "exec"), {})
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
