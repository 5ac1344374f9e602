"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not _imports(tree) & FORBIDDEN
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in UNSAFE_CALLS, f"line {node.lineno}"
            assert name not in {"torch.load", "torch.save", "pd.read_pickle"}, f"line {node.lineno}"
            if name in {"np.load", "numpy.load", "np.save", "numpy.save"}:
                allowed = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert allowed.get("allow_pickle") == "False", f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = (node.end_lineno or 0) - node.body[0].lineno + 1
            if ast.get_docstring(node):
                body -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            assert body <= 40, f"{node.name} has {body} lines"


def test_the_test_part_is_unsealed_in_one_place_of_each_job() -> None:
    opened = {
        path.name: len(re.findall(r"\.unseal\(\)", path.read_text())) for path in SOURCES if path.name != "splits.py"
    }
    openers = {"pipeline.py": 1, "demo.py": 1, "reproduce.py": 2, "ladder_warm.py": 1, "trial.py": 1}
    assert {name: n for name, n in opened.items() if n} == openers


@pytest.mark.parametrize(
    "modules",
    ["pinfold.cli", "pinfold.index.answers, pinfold.embedding.artifact, pinfold.evaluation.evaluate"],
)
def test_answering_never_loads_torch(modules: str) -> None:
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_versions_agree() -> None:
    from pinfold import __version__

    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first.group(1) in (__version__, "Unreleased")


def test_no_machine_paths_or_hosts_are_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    private = re.compile(r"/work/(main|shared|\.library)|/opt/wheels|/root/\.pyenv")
    for name in listed:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".json", ""} and path.is_file() and path != Path(__file__):
            assert not private.search(path.read_text(encoding="utf-8", errors="replace")), name
