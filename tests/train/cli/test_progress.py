"""Progress is one line for each phase and epoch in a log, and a table with a bar in a terminal; never on stdout."""

from __future__ import annotations

import pytest

from edge_runtime.logs import setup_logging
from train.cli.progress import ProgressBar


def train_for_two_epochs(epochs: int = 2) -> None:
    with ProgressBar() as bar:
        bar.phase("fine-tuning", 4)
        for epoch in range(1, epochs + 1):
            for _ in range(2):
                bar.step({"loss": 1.0 / epoch})
            bar.epoch(epoch, {"loss": 1.0 / epoch, "val_loss": 2.0 / epoch})
        bar.phase("saving the model", 0)


def test_a_log_holds_a_line_for_each_phase_and_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    train_for_two_epochs()
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "fine-tuning (4 steps)",
        "  epoch 1: loss 1.000  val_loss 2.000",
        "  epoch 2: loss 0.500  val_loss 1.000",
        "saving the model",
    ]


def test_markup_and_control_characters_of_a_phase_are_shown_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with ProgressBar() as bar:
        bar.phase("building [/x]\x1b]0;y\x07", 1)
        bar.step({"[/z]": 1.0})
        bar.epoch(1, {"\x1b]0;w": 1.0})
    shown = capsys.readouterr().err
    assert r"building [/x]\x1b]0;y\x07" in shown
    assert "\x1b]0" not in shown


def test_a_terminal_keeps_the_table_of_all_epochs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    train_for_two_epochs(epochs=20)
    output = capsys.readouterr()
    assert output.out == ""
    first, last = "1        1.000    2.000", "20       0.050    0.100"
    assert output.err.index(last) < output.err.rindex(first), "the live table has fewer rows than the one that stays"
