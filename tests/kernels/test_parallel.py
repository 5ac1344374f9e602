"""Rows shared among threads: each once, errors not lost."""

import os

import pytest

from pinfold.kernels.parallel import SMALL, n_threads, over_rows


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("n_rows", [0, 1, SMALL - 1, SMALL, SMALL + 1, 1000])
def test_every_row_once(monkeypatch: pytest.MonkeyPatch, threads: int, n_rows: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    ranges: list[tuple[int, int]] = []
    over_rows(n_rows, lambda start, stop: ranges.append((start, stop)))
    assert [row for start, stop in sorted(ranges) for row in range(start, stop)] == list(range(n_rows))
    assert len(ranges) == (threads if n_rows >= SMALL else 1)


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: 2)

    def work(start: int, stop: int) -> None:
        if start:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_rows(SMALL, work)


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("1", 1)])
def test_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert n_threads() == expected


@pytest.mark.parametrize("text", ["", "0", "-2", "many"])
def test_else_the_processors_of_this_process(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert n_threads() == len(os.sched_getaffinity(0))
