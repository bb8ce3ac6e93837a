"""What the doctor says of what a microphone gives."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.doctor import OK, PROBLEM, WARNING, check_level, check_listed
from edge_runtime.sources.portaudio import Device
from tests.conftest import tone


@pytest.mark.parametrize(
    ("level", "state", "fix"), [(0.1, OK, ""), (1e-4, WARNING, "turn it up"), (1.0, WARNING, "turn it down")]
)
def test_a_level_is_judged(level: float, state: str, fix: str) -> None:
    found = check_level(np.stack([tone(3, sample_rate=16_000, level=level)] * 2, axis=1))
    assert found.state == state
    assert found.fix.startswith(fix)
    assert "dBFS" in found.found


def test_a_microphone_that_gives_nothing_is_a_problem() -> None:
    assert check_level(np.zeros((0, 1), np.float32)).state == PROBLEM


def test_microphones_are_listed_with_their_rates() -> None:
    found = check_listed([Device(2, "USB Mic (hw:1,0)", 1, 48_000, default=True)])
    assert (found.state, found.found) == (OK, "2: USB Mic (hw:1,0), 48000 Hz")


def test_no_microphone_is_a_problem_with_the_two_usual_reasons() -> None:
    found = check_listed([])
    assert found.state == PROBLEM
    assert "plug one in" in found.fix
    assert "usermod -aG audio" in found.fix
