"""The outputs that were asked for are opened, filtered and closed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime import Event, GenreClassifier, Prediction, Summarizer, Summary, TmgcError
from edge_runtime.history.database import read_history
from edge_runtime.outputs import Output
from edge_runtime.outputs.factory import OnlyChanges, OutputSettings, open_outputs
from edge_runtime.outputs.json_lines import JsonLines
from edge_runtime.outputs.sqlite import History
from edge_runtime.outputs.text import TextLines
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.outputs.conftest import write_noise

LISTEN = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()"]


class Recorder(Output):
    """An output that keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[Prediction | Event | Summary | str] = []

    def window(self, prediction: Prediction) -> None:
        self.received.append(prediction)

    def event(self, event: Event) -> None:
        self.received.append(event)

    def summary(self, summary: Summary) -> None:
        self.received.append(summary)

    def close(self) -> None:
        self.received.append("closed")


@pytest.mark.parametrize(
    ("smoothed", "passed_on"),
    [
        ("HHHH", [0]),
        ("HHCCH", [0, 2, 4]),
        ("HCHC", [0, 1, 2, 3]),
    ],
)
def test_the_first_window_and_each_new_smoothed_genre_are_passed_on(smoothed: str, passed_on: list[int]) -> None:
    recorder = Recorder()
    output = OnlyChanges(recorder)
    for number, letter in enumerate(smoothed):
        genre = "Rock" if number % 2 else "Caz"  # a new genre without a new smoothed one is no change
        output.window(make_prediction(genre, start=float(number), smoothed_genre={"H": "Halk", "C": "Caz"}[letter]))
    received = [prediction.start_seconds for prediction in recorder.received if isinstance(prediction, Prediction)]
    assert received == passed_on


def test_events_summaries_and_the_end_are_passed_on() -> None:
    recorder = Recorder()
    output = OnlyChanges(recorder)
    output.window(make_prediction())
    output.event(Event(datetime.now(UTC), "microphone", "overload", "slow"))
    output.window(make_prediction())
    output.summary(Summarizer("microphone", threshold=0.0).summary())
    output.close()
    assert [type(item) for item in recorder.received] == [Prediction, Event, Summary, str]


def test_each_source_has_a_first_window() -> None:
    recorder = Recorder()
    output = OnlyChanges(recorder)
    for source in ("a.ogg", "b.ogg", "b.ogg"):
        output.window(replace(make_prediction(), source=source))
        output.window(replace(make_prediction(), source=source))
        output.summary(Summarizer(source, threshold=0.0).summary())
    sources = [prediction.source for prediction in recorder.received if isinstance(prediction, Prediction)]
    assert sources == ["a.ogg", "b.ogg", "b.ogg"]  # the same file again is a new source


def test_an_output_may_ignore_everything() -> None:
    output = Output()
    output.window(make_prediction())
    output.event(Event(datetime.now(UTC), "microphone", "overload", "slow"))
    output.summary(Summarizer("microphone", threshold=0.0).summary())
    output.close()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (OutputSettings(), TextLines),
        (OutputSettings(plain=True), TextLines),
        (OutputSettings(as_json=True), JsonLines),
        (OutputSettings(changes=True), OnlyChanges),
        (OutputSettings(as_json=True, changes=True), OnlyChanges),
    ],
)
def test_standard_output_has_one_form(settings: OutputSettings, kind: type, classifier: GenreClassifier) -> None:
    with open_outputs(settings, classifier, Path("m.tflite"), hop_seconds=1.0) as outputs:
        assert [type(output) for output in outputs] == [kind]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (OutputSettings(), b"cafe.ogg: ended before the first window"),
        (OutputSettings(as_json=True), b'"genre": "silence"'),
    ],
    ids=["text", "JSON"],
)
def test_standard_output_of_any_encoding_can_be_written(
    settings: OutputSettings, expected: bytes, classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with open_outputs(settings, classifier, Path("ışık.tflite"), hop_seconds=1.0) as (output,):
        output.summary(Summarizer("café.ogg", threshold=0.0).summary())
        assert expected in written.getvalue()
    if settings.as_json:
        assert json.loads(written.getvalue().decode("utf-8"))["model"]["file"] == "ışık.tflite"


def test_the_summary_has_the_window_length_of_the_card(
    classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spectrogram = replace(classifier.card.spectrogram, window_seconds=1.5)
    monkeypatch.setattr(classifier, "card", replace(classifier.card, spectrogram=spectrogram))
    summarizer = Summarizer("microphone", threshold=0.0)
    summarizer.add(make_prediction())
    with open_outputs(OutputSettings(), classifier, Path("m.tflite"), hop_seconds=1.0) as (output,):
        output.summary(summarizer.summary())
    assert "1 window of 1.5 s" in capsys.readouterr().out


def test_a_history_is_closed_after_an_error(classifier: GenreClassifier, tmp_path: Path) -> None:
    settings = OutputSettings(history=tmp_path / "h.sqlite", changes=True)

    def fail() -> None:
        with open_outputs(settings, classifier, Path("m.tflite"), hop_seconds=1.0) as outputs:
            assert [type(output) for output in outputs] == [History, OnlyChanges]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.glob("*-wal"))
    with closing(read_history(tmp_path / "h.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchone() == (0,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"as_json": True, "plain": True},
        {"keep_days": 0.0},
        {"keep_days": -1.0},
        {"keep_days": float("nan")},
        {"keep_mb": 0.1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TmgcError):
        OutputSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_command_prints_only_changes(form: list[str], models: dict[str, Path], tmp_path: Path) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=8)
    done = listen_command(song, "--model", models["tflite"], "--hop", 2, "--changes", *form)
    first, summary = done.stdout.splitlines()  # the same noise from beginning to end
    if form:
        assert [json.loads(line)["type"] for line in (first, summary)] == ["window", "summary"]
    else:
        assert first.startswith("  0:00.0 -   0:02.0")
        assert "4 windows of 2 s" in summary


@pytest.mark.parametrize("options", [["--json"], ["--plain"], ["--changes"]])
def test_a_file_whose_name_is_not_utf_8_is_classified(
    options: list[str], models: dict[str, Path], tmp_path: Path
) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=4).rename(tmp_path / "caf\udce9.wav")
    missing = tmp_path / "no\udce9.wav"
    # In a process of its own, which decodes its arguments; pytest-xdist could not send notices with such names.
    arguments = [song, missing, "--model", models["tflite"], "--history", tmp_path / "h.sqlite", *options]
    done = subprocess.run([*LISTEN, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 2  # for the second, which does not exist
    assert "Traceback" not in done.stderr.decode()
    assert ("caf?.wav" if "--json" in options else r"caf\xe9.wav") in done.stdout.decode()
    with closing(read_history(tmp_path / "h.sqlite")) as connection:
        names = connection.execute("SELECT name FROM sources ORDER BY id").fetchall()
    assert [Path(name).name for (name,) in names] == ["caf?.wav", "no?.wav"]
