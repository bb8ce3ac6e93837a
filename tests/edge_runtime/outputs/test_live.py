"""The live view fits its terminal, shows notices, and restores terminal and logging handlers."""

from __future__ import annotations

import fcntl
import io
import logging
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

import pytest
from rich.console import Console

from edge_runtime import GenreClassifier, Prediction, Summarizer
from edge_runtime.logs import LOGGER
from edge_runtime.outputs.live import LiveView
from tests.edge_runtime.factories import make_prediction
from tests.edge_runtime.outputs.conftest import write_noise

ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

log = logging.getLogger("tmgc.test")


def make_view(
    classifier: GenreClassifier, width: int = 80, height: int = 24, *, encoding: str = "utf-8", terminal: bool = False
) -> LiveView:
    """A view on a console of that size."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(width=width, height=height, file=file, color_system=None, force_terminal=terminal)
    return LiveView(classifier, Path("runs/x/exports/tiny.tflite"), console)


def rendered(view: LiveView, predictions: list[Prediction]) -> list[str]:
    """The lines that the view shows after these predictions."""
    for prediction in predictions:
        view._add(prediction)
    like = view._console
    stream = io.TextIOWrapper(io.BytesIO(), encoding=like.encoding)
    Console(width=like.width, height=like.height, file=stream, color_system=None).print(view.render())
    stream.seek(0)
    return stream.read().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (40, 12), (200, 60), (25, 9)])
def test_it_fits_terminals_of_every_size(width: int, height: int, classifier: GenreClassifier) -> None:
    genres = ("Halk", "Caz", "silence")
    predictions = [make_prediction(genres[n // 40 % 3], source="a long name " * 9) for n in range(300)]
    lines = rendered(make_view(classifier, width, height), predictions)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    lines = rendered(make_view(classifier, width, height), predictions[:10])
    assert any("Halk" in line and "80%" in line for line in lines)


def test_it_shows_source_genre_probabilities_level_latency_and_model(classifier: GenreClassifier) -> None:
    predictions = [make_prediction("Caz"), make_prediction("Halk", delay_ms=123.0, dropped_windows=7)]
    lines = rendered(make_view(classifier), predictions)
    text = "\n".join(lines)
    for part in ("microphone", "Halk   80%", "-20 dBFS", "delay 123 ms", "dropped 7", "tiny.tflite, ai-edge-litert"):
        assert part in text
    bars = {line.split()[0]: line.count("█") for line in lines if line.startswith(("Halk", "Caz", "Rock"))}
    assert bars["Halk"] > 5 * bars["Caz"] > 0
    assert bars["Caz"] == bars["Rock"]
    assert "CH" in lines  # the timeline: a letter for each window


@pytest.mark.parametrize(("level", "share"), [(-90.0, 0.0), (-60.0, 0.0), (-30.0, 0.5), (0.0, 1.0), (5.0, 1.0)])
def test_the_level_meter_covers_60_db_below_full_scale(level: float, share: float, classifier: GenreClassifier) -> None:
    lines = rendered(make_view(classifier), [make_prediction(level_dbfs=level)])
    (line,) = (line for line in lines if line.startswith("level"))
    width = 80 - len("level  ") - len(f"{level:.0f} dBFS")
    assert line.count("█") / width == pytest.approx(share, abs=0.03)


def test_control_characters_of_a_name_are_only_shown(classifier: GenreClassifier) -> None:
    lines = rendered(make_view(classifier), [make_prediction(source="\x1b[2J[bold]x[/bold]\n")])
    assert lines[0].startswith(r"\x1b[2J[bold]x[/bold]\n")


def test_without_block_characters_bars_are_of_ascii(classifier: GenreClassifier) -> None:
    lines = rendered(make_view(classifier, encoding="iso-8859-9"), [make_prediction("Halk")])
    bars = {line.split()[0]: line.count("#") for line in lines if line.startswith(("Halk", "Caz"))}
    assert bars["Halk"] > 5 * bars["Caz"] > 0


def test_the_newest_notice_is_in_the_last_line(classifier: GenreClassifier, notices: list[str]) -> None:
    view = make_view(classifier, terminal=True)
    view.window(make_prediction())
    log.info("MQTT: the broker is back")
    log.warning("microphone: device lost: %s", "it was unplugged")
    lines = rendered(view, [make_prediction()])
    view.close()
    assert lines[-1].strip() == "warning: microphone: device lost: it was unplugged"
    assert not [line for line in lines if "broker" in line]
    assert len(notices) == 2


def test_notices_reach_the_root_logger_of_a_program_without_our_handler(
    classifier: GenreClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOGGER, "handlers", [])
    monkeypatch.setattr(LOGGER, "propagate", True)
    view = make_view(classifier, terminal=True)
    view.window(make_prediction())
    log.warning("the disk is full")
    assert not caplog.messages
    view.close()
    assert caplog.messages == ["the disk is full"]


def test_notices_reach_the_earlier_handler_when_the_view_closes(
    classifier: GenreClassifier, notices: list[str]
) -> None:
    view = make_view(classifier, terminal=True)
    handlers = list(LOGGER.handlers)
    for _ in range(2):
        view.window(make_prediction())
        log.info("the clock was set")
        log.warning("the disk is full")
        assert not notices
        view.summary(Summarizer("microphone", threshold=0.0).summary())
        assert list(LOGGER.handlers) == handlers
        assert notices == ["the clock was set", "warning: the disk is full"]
        notices.clear()
    log.info("later")
    assert notices == ["later"]


def test_standard_error_stays_what_it_is(classifier: GenreClassifier) -> None:
    before = sys.stderr
    view = make_view(classifier, terminal=True)
    view.window(make_prediction())
    assert sys.stderr is before
    view.close()


def test_the_summary_is_printed_after_the_screen_is_left(classifier: GenreClassifier) -> None:
    view = make_view(classifier, terminal=True)
    summarizer = Summarizer("microphone", threshold=0.0)
    for _ in range(3):
        view.window(make_prediction())
        summarizer.add(make_prediction())
    view.summary(summarizer.summary())
    view._console.file.seek(0)
    written = view._console.file.read()
    assert written.count(ENTER_SCREEN) == written.count(LEAVE_SCREEN) == 1
    assert written.split(LEAVE_SCREEN)[1].startswith("microphone: Halk 80%, 3 windows of 2 s")


def in_a_terminal(
    arguments: list[object],
    *,
    width: int = 80,
    kind: str = "xterm-256color",
    encoding: str = "utf-8",
    once_shown: Callable[[subprocess.Popen[bytes], int], None] | None = None,
) -> tuple[int, str]:
    """``tmgc-listen`` on a pseudo-terminal: its exit code, and all that it wrote there.

    ``once_shown`` is called with the process and the terminal as soon as the view is there.
    """
    terminal, side = pty.openpty()
    resize(terminal, width, 24)
    command = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"TERM": kind, "PYTHONIOENCODING": encoding}
    process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment)
    os.close(side)
    written = b""
    while chunk := _read(terminal):
        written += chunk
        if once_shown and b"dBFS" in written:
            once_shown(process, terminal)
            once_shown = None
    os.close(terminal)
    return process.wait(), written.decode(encoding, "replace")


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


@pytest.mark.parametrize(("width", "encoding"), [(40, "utf-8"), (80, "utf-8"), (80, "iso-8859-9"), (40, "ascii")])
def test_on_a_terminal_it_is_shown_and_leaves_the_summary(
    width: int, encoding: str, song: Path, models: dict[str, Path]
) -> None:
    code, written = in_a_terminal([song, "--model", models["tflite"]], width=width, encoding=encoding)
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


def test_an_interruption_restores_the_terminal(song: Path, models: dict[str, Path]) -> None:
    code, written = in_a_terminal(
        [song, "--model", models["tflite"], "--speed", "1"],
        once_shown=lambda process, _: process.send_signal(signal.SIGINT),
    )
    assert written.count(ENTER_SCREEN) == written.count(LEAVE_SCREEN) == 1
    assert written.rindex(SHOW_CURSOR) > written.rindex(HIDE_CURSOR)
    assert "Traceback" not in written
    assert code == 128 + signal.SIGINT


def test_a_terminal_that_is_made_narrower_is_redrawn(song: Path, models: dict[str, Path]) -> None:
    code, written = in_a_terminal(
        [song, "--model", models["tflite"], "--speed", "2"],
        once_shown=lambda _, terminal: resize(terminal, 40, 20),
    )
    assert code == 0
    view = written.split(ENTER_SCREEN)[1].split(LEAVE_SCREEN)[0]
    borders = [len(border) for border in re.findall("╭─*╮", view)]
    assert (borders[0], borders[-1]) == (80, 40)


def test_an_error_restores_the_terminal_and_is_printed(song: Path, models: dict[str, Path], tmp_path: Path) -> None:
    code, written = in_a_terminal([song, tmp_path / "none.mp3", "--model", models["tflite"]])
    assert code == 2
    assert f"there is no {tmp_path / 'none.mp3'}" in written.split(LEAVE_SCREEN)[-1].replace("\r\n", "")
