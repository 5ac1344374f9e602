"""Keeping freed memory."""

import ctypes
import sys

import pytest

from pinfold.training.memory import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_glibc_accepts_both_thresholds() -> None:
    if "glibc" not in sys.version and not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("not glibc")
    assert keep_freed_memory()


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
