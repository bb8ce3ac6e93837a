"""The clock is believed, doubted, or left open."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from edge_runtime import system_info as clock


def test_the_mark_of_timesyncd_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "synchronized").touch()
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "synchronized")
    assert clock.clock_synchronised() is True


@pytest.mark.parametrize(("state", "expected"), [(0, True), (1, True), (5, False), (-1, None)])
def test_without_it_the_kernel_is_asked(
    state: int, expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "none")
    monkeypatch.setattr(clock, "_adjtimex", lambda: lambda buffer: state)
    assert clock.clock_synchronised() is expected


def test_a_system_without_adjtimex_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_SYNCHRONISED", tmp_path / "none")
    monkeypatch.setattr(clock, "_adjtimex", lambda: None)
    assert clock.clock_synchronised() is None


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "adjtimex"), reason="this system has no adjtimex")
def test_this_kernel_answers() -> None:
    assert clock.clock_synchronised() in (True, False, None)
