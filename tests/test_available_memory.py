"""How much memory is left, on machines that a folder plays."""

import sys
from pathlib import Path

import pytest

from pinfold.memory import available_memory


def machine(root: Path, groups: str = "", **files: str) -> tuple[Path, Path]:
    """A /proc with 8,000 kB available and a /sys/fs/cgroup; `__` in a name stands for `/`, `_D_` for a dot."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text("MemTotal:  16000 kB\nMemAvailable:    8000 kB\n")
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "cgroup" / name.replace("__", "/").replace("_D_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "cgroup"


def test_without_groups(tmp_path: Path) -> None:
    assert available_memory(*machine(tmp_path)) == 8_192_000


def test_nobody_knows(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "no", tmp_path / "nothing") is None


def test_a_group_leaves_less(tmp_path: Path) -> None:
    files = {
        "job__memory_D_max": "5000000\n",
        "job__memory_D_current": "3000000\n",
        "job__memory_D_stat": "anon 1\nactive_file 7\ninactive_file 500000\n",
    }
    assert available_memory(*machine(tmp_path, "0::/job\n", **files)) == 2_500_000


def test_a_group_above_leaves_less(tmp_path: Path) -> None:
    files = {
        "a__memory_D_max": "4000000\n",
        "a__memory_D_current": "3000000\n",
        "a__b__memory_D_max": "max\n",
        "a__b__memory_D_current": "100\n",
    }
    assert available_memory(*machine(tmp_path, "0::/a/b\n", **files)) == 1_000_000


def test_a_group_that_took_too_much_leaves_nothing(tmp_path: Path) -> None:
    files = {"job__memory_D_max": "5000000\n", "job__memory_D_current": "6000000\n"}
    assert available_memory(*machine(tmp_path, "0::/job\n", **files)) == 0


@pytest.mark.parametrize(("limit", "left"), [("6000000", 2_000_000), ("9223372036854771712", 8_192_000)])
def test_version_1(tmp_path: Path, limit: str, left: int) -> None:
    files = {
        "memory__job__memory_D_limit_in_bytes": limit,
        "memory__job__memory_D_usage_in_bytes": "4000000",
    }
    assert available_memory(*machine(tmp_path, "8:pids:/\n4:cpu,memory:/job\n0::/\n", **files)) == left


def test_inside_a_container_the_path_is_the_hosts(tmp_path: Path) -> None:
    files = {"memory_D_max": "5000000\n", "memory_D_current": "3000000\n"}
    assert available_memory(*machine(tmp_path, "0::/docker/0123\n", **files)) == 2_000_000


def test_a_line_that_is_none(tmp_path: Path) -> None:
    assert available_memory(*machine(tmp_path, "nonsense\n\n")) == 8_192_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_here() -> None:
    found = available_memory()
    assert found is not None
    assert found > 0
