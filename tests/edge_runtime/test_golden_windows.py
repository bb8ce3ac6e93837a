"""A model proves on the machine where it runs that it computes what it did when it was exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, ModelCard, SpectrogramSettings
from edge_runtime.errors import InvalidAnswerError, TmgcError
from edge_runtime.golden_windows import (
    NAMES,
    GoldenResult,
    check_golden,
    golden_document,
    golden_window,
)
from edge_runtime.history.database import read_history
from edge_runtime.interpreters import litert, onnx, open_interpreter, openvino
from export.metadata import write_with_card
from tests.conftest import tone
from tests.edge_runtime.factories import listen_command

Break = Callable[[NDArray[np.float32]], NDArray[np.float32]]

BREAKS: dict[str, Break] = {
    "NaN": lambda probabilities: probabilities * np.float32(np.nan),
    "scaled": lambda probabilities: probabilities * 25,
    "permuted": lambda probabilities: np.roll(probabilities, 1),
}
"""What broken kernels have done to outputs."""


@pytest.fixture
def golden(models: dict[str, Path]) -> Path:
    """A TFLite file with golden windows."""
    return models["tflite"]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Break], None]:
    """Lets each interpreter change its outputs."""

    def install(change: Break) -> None:
        for interpreter in (litert.LiteRTInterpreter, onnx.OnnxInterpreter, openvino.OpenVinoInterpreter):
            invoke = interpreter.invoke

            def changed(self: Any, model_input: Any, invoke: Any = invoke) -> NDArray[np.float32]:
                return change(invoke(self, model_input))

            monkeypatch.setattr(interpreter, "invoke", changed)

    return install


@pytest.fixture
def song(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "song.wav", tone(21, sample_rate=22_050), 22_050)
    return tmp_path / "song.wav"


def test_the_sounds_are_the_same_every_time_and_unlike_each_other() -> None:
    settings = SpectrogramSettings()
    sounds = {name: golden_window(name, settings) for name in NAMES}
    assert 4 <= len(sounds) <= 8
    for name, sound in sounds.items():
        assert sound.shape == (settings.window_samples,)
        assert sound.dtype == np.float32
        assert np.abs(sound).max() <= 1
        assert np.array_equal(sound, golden_window(name, settings))
    correlations = np.corrcoef(np.stack(list(sounds.values())))
    assert np.abs(correlations - np.eye(len(sounds))).max() < 0.9
    assert np.abs(sounds["quiet"]).max() < 0.02 < np.abs(sounds["loud"]).max()


@pytest.mark.parametrize(("rate", "seconds"), [(1_000, 0.6), (192_000, 15.0), (48_000, 60.0)])
def test_windows_of_any_length_are_filled(rate: int, seconds: float) -> None:
    settings = SpectrogramSettings(sample_rate=rate, window_seconds=seconds, hop_length=1_024 if seconds > 1 else 256)
    for name in NAMES:
        sound = golden_window(name, settings)
        assert sound.shape == (settings.window_samples,)
        assert np.isfinite(sound).all()
        assert np.abs(sound[-settings.window_samples // 4 :]).max() > 0


def test_an_interpreter_that_works_passes(golden: Path) -> None:
    results = check_golden(open_interpreter(golden))
    assert len(results) == len(NAMES)
    assert all(result.passed for result in results)
    assert GenreClassifier.open(golden).card.export["golden"]


@pytest.mark.parametrize("form", ["tflite", "onnx"])
@pytest.mark.parametrize("how", BREAKS)
def test_an_interpreter_that_is_broken_is_refused_in_one_line(
    how: str, form: str, models: dict[str, Path], broken: Callable[[Break], None], song: Path
) -> None:
    broken(BREAKS[how])
    done = listen_command(song, "--model", models[form])
    assert done.exit_code == 2
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    for said in ("error: ", "golden window", "the exporter", "tolerance 0.001", "--trust-anyway"):
        assert said in line
    assert ("ai-edge-litert" if form == "tflite" else "onnxruntime") in line


def test_a_broken_interpreter_that_must_be_trusted_is_with_a_warning(
    golden: Path, broken: Callable[[Break], None], song: Path
) -> None:
    broken(BREAKS["permuted"])
    done = listen_command(song, "--model", golden, "--trust-anyway")
    assert done.exit_code == 0, done.stderr
    assert "song.wav" in done.stdout
    assert "is trusted although it fails: golden window 'loud'" in done.stderr


def test_a_service_whose_model_is_not_trusted_is_not_restarted(
    golden: Path, broken: Callable[[Break], None], song: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edge_runtime.service import MISCONFIGURED, ServiceSettings, unit_text

    broken(BREAKS["NaN"])
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    assert listen_command(song, "--model", golden).exit_code == MISCONFIGURED
    assert f"RestartPreventExitStatus={MISCONFIGURED}\n" in unit_text(ServiceSettings(golden))
    content = bytearray(golden.read_bytes())
    content[300] ^= 1
    damaged = tmp_path / "damaged.tflite"
    for beginning in (content, content[:-100]):
        damaged.write_bytes(beginning)
        assert listen_command(song, "--model", damaged).exit_code == MISCONFIGURED
    assert listen_command(song, "--model", tmp_path / "missing.tflite").exit_code == 2, "its disk may come later"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert listen_command(song, "--model", golden).exit_code == 2


def test_answers_that_are_not_finite_cost_the_history_nothing_and_three_in_a_row_end_it(
    golden: Path, song: Path, broken: Callable[[Break], None], tmp_path: Path
) -> None:
    count = 0

    def later(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal count
        count += 1
        window = count - len(NAMES) - 1
        return probabilities * np.float32(np.nan if window in (2, 4, 5) or window >= 7 else 1)

    broken(later)
    history = tmp_path / "heard.sqlite"
    done = listen_command(song, song, "--model", golden, "--history", history, "--hop", 2, "--json")
    assert done.exit_code == 2
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["start_s"] for line in lines if line["type"] == "window"] == [0, 2, 6, 12]
    assert [line["event"] for line in lines if line["type"] == "event"] == ["invalid answer"] * 6
    assert "NaN" not in done.stdout
    assert "3 answers in a row were not finite" in done.stderr.splitlines()[-1]
    with closing(read_history(history)) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchone() == (4,)


def test_a_file_whose_only_answer_is_not_finite_is_refused_for_that(
    brief_model: Path, broken: Callable[[Break], None], tmp_path: Path
) -> None:
    broken(BREAKS["NaN"])
    soundfile.write(tmp_path / "short.wav", tone(0.6, sample_rate=22_050), 22_050)
    done = listen_command(tmp_path / "short.wav", "--model", brief_model)
    assert done.exit_code == 2
    assert "no answer about" in done.stderr
    assert "was finite" in done.stderr


def test_what_is_infinite_before_the_temperature_is_not_finite_after_it(golden: Path) -> None:
    classifier = GenreClassifier(open_interpreter(golden))
    classifier.card = classifier.card.replace(temperature=0.8)
    answers = iter((np.array([np.inf, 0, 0], np.float32), np.array([-np.inf, 1, 0], np.float32)))
    classifier.interpreter.invoke = lambda window: next(answers)  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(InvalidAnswerError, match="1 of 3"):
            classifier.predict(np.zeros(1, np.float32))


def test_a_file_without_golden_windows_is_taken_as_it_is(brief_model: Path) -> None:
    assert check_golden(open_interpreter(brief_model)) == []


def test_probabilities_that_are_not_finite_become_no_golden_windows() -> None:
    with pytest.raises(TmgcError, match="finite"):
        golden_document("tflite", "int8", {"loud": [0.5, float("nan")]}, {"loud": [0.5, 0.5]})


OTHER_ENGINES: tuple[Any, ...] = ([], {"litert": None}, {"litert": {}}, {"litert": {"loud": [1.0]}})
"""What a card must not say of further engines."""


@pytest.mark.parametrize(
    "golden_of_card",
    [
        {"version": 1},
        {},
        "golden",
        [],
        None,
        {"version": "1"},
        {"version": True},
        {"version": 1, "tolerance": 10**400, "probabilities": {"loud": [1.0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {"loud": [10**400, 0, 0]}},
        {"version": 1, "tolerance": "0.01", "probabilities": {"loud": [0.5, 0.5, 0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {"loud": [True, 0, 0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {"loud": [1.5, 0, 0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {}},
        {"version": 1, "tolerance": 1e9, "probabilities": {"loud": [1.0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {"loud": [1.0]}},
        {"version": 1, "tolerance": 0.01, "probabilities": {"loud": "abc"}},
        {"version": 1, "tolerance": 0.01, "probabilities": [1.0]},
        *(
            {"version": 1, "tolerance": 0.01, "probabilities": {"loud": [1.0, 0, 0]}, "other_engines": others}
            for others in OTHER_ENGINES
        ),
    ],
)
def test_malformed_golden_windows_are_refused_in_one_line(
    golden_of_card: Any, graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    path = tmp_path / "malformed.tflite"
    write_with_card(graphs["tflite"], card.replace(export={"golden": golden_of_card}), path)
    with pytest.raises(TmgcError, match="golden windows are malformed"):
        check_golden(open_interpreter(path))


@pytest.mark.parametrize(
    ("form", "recipe", "tolerance"),
    [("tflite", "int8", 0.03), ("tflite", "dynamic", 0.03), ("onnx", "int8", 0.1), ("onnx", "float32", 1e-3)],
)
def test_a_library_that_rounds_in_more_ways_has_more_tolerance(form: str, recipe: str, tolerance: float) -> None:
    found = {"loud": [0.5, 0.5]}
    assert golden_document(form, recipe, found, found)["tolerance"] == tolerance


def test_a_result_names_the_worst_probability() -> None:
    result = GoldenResult("loud", (0.7, 0.2, 0.1), (0.7, float("nan"), 0.1), 0.1)
    assert not result.passed
    assert "computes nan for genre 2, the exporter 0.2" in result.failure("litert 2")
    assert not GoldenResult("loud", (0.7, 0.3), (0.75, 0.35), 0.1).passed, "the sum is not 1"
    assert GoldenResult("loud", (0.7, 0.3), (0.75, 0.25), 0.1).passed
