"""Sizes as people write them, and what a process has held."""

import subprocess
import sys
from pathlib import Path

import pytest

from pinfold.memory import memory_marks, parse_bytes, peak_memory, peak_memory_of_children


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8_000_000_000),
        ("2GiB", 2 << 30),
        ("500MB", 500_000_000),
        (" 1.5 GiB ", 3 << 29),
        ("4096B", 4096),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("0.3TB", 300_000_000_000),
        ("9007199254740993B", 9_007_199_254_740_993),  # 2^53 + 1: no float
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "8", "8G", "GB", "-1GB", "8gb", "0GB", "0.4B", "1iB", "1e9B", "8GB GB", "\u0668GB"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size of memory; expected a number and a unit, such as 8GB"):
        parse_bytes(text)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_marks_of_this_process() -> None:
    marks = memory_marks()
    assert 0 < marks["RssAnon"] <= marks["VmRSS"] <= marks["VmHWM"] <= marks["VmPeak"]
    assert marks["VmHWM"] <= peak_memory() < marks["VmHWM"] + (16 << 20)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need not have this trap")
def test_a_small_process_does_not_count_what_the_one_that_started_it_held() -> None:
    small = "from pinfold.memory import peak_memory; print(peak_memory())"
    large = f"import subprocess, sys; x = b'1' * (256 << 20); subprocess.run([sys.executable, '-c', {small!r}])"
    done = subprocess.run([sys.executable, "-c", large], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 128 << 20


def test_marks_of_nobody(tmp_path: Path) -> None:
    assert memory_marks(7, tmp_path) == {}


def test_children_count() -> None:
    before = peak_memory_of_children()
    held = max(before, 20 << 20) + (64 << 20)
    subprocess.run([sys.executable, "-c", f"x = b'1' * {held}"], check=True)
    assert peak_memory_of_children() >= held
