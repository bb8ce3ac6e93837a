"""The live view fits its terminal, and gives it back."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from edge_runtime import GenreClassifier, Prediction, Summarizer
from edge_runtime.cli.base import say
from edge_runtime.outputs.live import LiveView

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture(scope="module")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    return GenreClassifier.open(models["tflite"], threads=1)


def drawn(view: LiveView, width: int, height: int) -> list[str]:
    """What the view shows on a terminal of that size, line by line."""
    view._console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with view._console.capture() as capture:
        view._console.print(view.view())
    return capture.get().splitlines()


def shown(classifier: GenreClassifier, predictions: list[Prediction]) -> LiveView:
    """A view that has seen these answers and has not touched a terminal."""
    view = LiveView(classifier, Path("runs/x/exports/tiny.tflite"), Console(file=io.StringIO()))
    for prediction in predictions:
        view._take(prediction)
    return view


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (40, 12), (200, 60), (25, 9)])
def test_it_fits_terminals_of_every_size(
    width: int, height: int, classifier: GenreClassifier, make_answer: Callable[..., Prediction]
) -> None:
    predictions = [make_answer(("Halk", "Caz", "silence")[n // 40 % 3], source="a long name " * 9) for n in range(300)]
    lines = drawn(shown(classifier, predictions), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any("Halk" in line and "80%" in line for line in drawn(shown(classifier, predictions[:10]), width, height))


def test_it_shows_all_that_is_to_be_known(classifier: GenreClassifier, make_answer: Callable[..., Prediction]) -> None:
    predictions = [make_answer("Caz"), make_answer("Halk", level_dbfs=-20.0, delay_ms=123.0, dropped_windows=7)]
    lines = drawn(shown(classifier, predictions), 80, 24)
    text = "\n".join(lines)
    for part in ("microphone", "Halk   80%", "-20 dBFS", "delay 123 ms", "dropped 7", "tiny.tflite, ai-edge-litert"):
        assert part in text
    bars = {line.split()[0]: line.count("█") for line in lines if line.startswith(("Halk", "Caz", "Rock"))}
    assert bars["Halk"] > 5 * bars["Caz"] > 0
    assert bars["Caz"] == bars["Rock"]
    assert "CH" in lines  # the timeline: a letter a window


@pytest.mark.parametrize(("level", "share"), [(-90.0, 0.0), (-60.0, 0.0), (-30.0, 0.5), (0.0, 1.0), (5.0, 1.0)])
def test_the_level_meter_goes_from_60_db_below_full_scale_up_to_it(
    level: float, share: float, classifier: GenreClassifier, make_answer: Callable[..., Prediction]
) -> None:
    (line,) = (x for x in drawn(shown(classifier, [make_answer(level_dbfs=level)]), 80, 24) if x.startswith("level"))
    room = len(line) - len("level  ") - len(f"{level:.0f} dBFS")
    assert line.count("█") / room == pytest.approx(share, abs=0.03)


def test_names_that_a_terminal_would_obey_are_only_shown(
    classifier: GenreClassifier, make_answer: Callable[..., Prediction]
) -> None:
    lines = drawn(shown(classifier, [make_answer(source="\x1b[2J[bold]x[/bold]\n")]), 80, 24)
    assert lines[0].startswith("?[2J[bold]x[/bold]?")


def test_what_is_said_meanwhile_is_said_again_afterwards(
    classifier: GenreClassifier, make_answer: Callable[..., Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    view = LiveView(classifier, Path("tiny.tflite"), Console(file=terminal, force_terminal=True, width=80, height=24))
    view.window(make_answer())
    say("microphone: device lost: it was taken away")
    sys.stderr.write("warning: something else\n")
    assert capsys.readouterr().err == ""
    summarizer = Summarizer("microphone", threshold=0.0)
    summarizer.add(make_answer())
    view.summary(summarizer.summary())
    after = capsys.readouterr()
    assert after.err.splitlines() == ["microphone: device lost: it was taken away", "warning: something else"]
    assert after.out.startswith("microphone: Halk 80%, 1 windows")
    assert terminal.getvalue().count(ENTER_SCREEN) == terminal.getvalue().count(LEAVE_SCREEN) == 1


def in_a_terminal(
    arguments: list[object],
    *,
    width: int = 80,
    kind: str = "xterm-256color",
    once_shown: Callable[[subprocess.Popen[bytes], int], None] | None = None,
) -> tuple[int, str]:
    """``tmgc-listen`` on a pseudo-terminal: its exit code, and all that it wrote there.

    ``once_shown`` is called with the process and the terminal as soon as the view is there.
    """
    terminal, side = pty.openpty()
    resize(terminal, width, 24)
    command = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment | {"TERM": kind})
    os.close(side)
    written = b""
    while chunk := _read(terminal):
        written += chunk
        if once_shown and b"dBFS" in written:
            once_shown(process, terminal)
            once_shown = None
    os.close(terminal)
    return process.wait(), written.decode("utf-8", "replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so that the other side is closed
        return b""


def resize(terminal: int, width: int, height: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "song.wav", seconds=12)


@pytest.fixture
def long_song(tmp_path: Path) -> Path:
    """At a short hop it lasts until something has happened."""
    return write_noise(tmp_path / "long song.wav", seconds=60)


def write_noise(path: Path, *, seconds: int) -> Path:
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, seconds * 22_050), 22_050)
    return path


@pytest.mark.parametrize("width", [40, 80])
def test_on_a_terminal_it_is_shown_and_leaves_the_summary(width: int, song: Path, models: dict[str, Path]) -> None:
    code, written = in_a_terminal([song, "--model", models["tflite"]], width=width)
    assert code == 0, written
    assert written.count(ENTER_SCREEN) == written.count(LEAVE_SCREEN) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    view, after = written.split(ENTER_SCREEN)[1].split(LEAVE_SCREEN)
    assert "dBFS" in view
    assert re.sub(r"\x1b\[[?\d;]*\w", "", after).strip().startswith(f"{song}: ")


@pytest.mark.parametrize(
    ("options", "kind"),
    [(["--plain"], "xterm"), (["--json"], "xterm"), (["--changes"], "xterm"), ([], "dumb")],
)
def test_lines_are_printed_where_they_are_asked_for(
    options: list[str], kind: str, song: Path, models: dict[str, Path]
) -> None:
    code, written = in_a_terminal([song, "--model", models["tflite"], *options], kind=kind)
    assert code == 0
    assert "\x1b" not in written
    assert str(song) in written.splitlines()[-1]


def test_an_interruption_gives_the_terminal_back(long_song: Path, models: dict[str, Path]) -> None:
    _, written = in_a_terminal(
        [long_song, "--model", models["tflite"], "--hop", "0.012"],
        once_shown=lambda process, _: process.send_signal(signal.SIGINT),
    )
    assert written.count(ENTER_SCREEN) == written.count(LEAVE_SCREEN) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    assert "Traceback" not in written


def test_a_terminal_that_is_made_narrower_is_drawn_anew(long_song: Path, models: dict[str, Path]) -> None:
    code, written = in_a_terminal(
        [long_song, "--model", models["tflite"], "--hop", "0.012"],
        once_shown=lambda _, terminal: resize(terminal, 40, 20),
    )
    assert code == 0
    view = written.split(ENTER_SCREEN)[1].split(LEAVE_SCREEN)[0]
    borders = [len(border) for border in re.findall("╭─*╮", view)]
    assert (borders[0], borders[-1]) == (80, 40)


def test_an_error_gives_the_terminal_back_and_is_read(song: Path, models: dict[str, Path], tmp_path: Path) -> None:
    code, written = in_a_terminal([song, tmp_path / "none.mp3", "--model", models["tflite"]])
    assert code == 2
    assert f"there is no {tmp_path / 'none.mp3'}" in written.split(LEAVE_SCREEN)[-1].replace("\r\n", "")
