from __future__ import annotations

import pytest

from export.exporter import Steps


def test_a_step_is_said_before_it_is_done(capfd: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with steps.step("Converting"):
        print("chatter")
        assert capfd.readouterr().err == "Converting ...\n"
    assert steps.seconds["Converting"] >= 0
    assert capfd.readouterr().out == ""


def test_names_in_square_brackets_are_said_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    Steps().say("songs [live]/a.mp3")
    assert capfd.readouterr().err == "songs [live]/a.mp3\n"
