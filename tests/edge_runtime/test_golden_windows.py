"""A model proves on the machine where it runs that it computes what it did when it was exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, ModelCard, SpectrogramSettings
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.golden_windows import (
    GoldenResult,
    check_golden,
    golden_windows,
    open_verified,
)
from edge_runtime.interpreters import litert, open_interpreter
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
    """Lets each interpreter of TFLite files change its outputs."""
    invoke = litert.LiteRTInterpreter.invoke

    def install(change: Break) -> None:
        def changed(self: litert.LiteRTInterpreter, model_input: Any) -> NDArray[np.float32]:
            return change(invoke(self, model_input))

        monkeypatch.setattr(litert.LiteRTInterpreter, "invoke", changed)

    return install


def test_the_sounds_are_the_same_every_time_and_unlike_each_other() -> None:
    settings = SpectrogramSettings()
    first, second = golden_windows(settings), golden_windows(settings)
    assert 4 <= len(first) <= 8
    for name, sound in first.items():
        assert sound.shape == (settings.window_samples,)
        assert sound.dtype == np.float32
        assert np.abs(sound).max() <= 1
        assert np.array_equal(sound, second[name])
    correlations = np.corrcoef(np.stack(list(first.values())))
    assert np.abs(correlations - np.eye(len(first))).max() < 0.9
    assert np.abs(first["quiet"]).max() < 0.02 < np.abs(first["loud"]).max()


def test_an_interpreter_that_works_passes(golden: Path) -> None:
    results = check_golden(open_interpreter(golden))
    assert len(results) == len(golden_windows(SpectrogramSettings()))
    assert all(result.passed for result in results)
    assert GenreClassifier.open(golden).card.export["golden"]


@pytest.mark.parametrize("how", BREAKS)
def test_an_interpreter_that_is_broken_is_refused_in_one_line(
    how: str, golden: Path, broken: Callable[[Break], None], tmp_path: Path
) -> None:
    broken(BREAKS[how])
    soundfile.write(tmp_path / "song.wav", tone(3, sample_rate=22_050), 22_050)
    done = listen_command(tmp_path / "song.wav", "--model", golden)
    assert done.exit_code == 2
    assert not done.stdout
    *tried, line = done.stderr.splitlines()
    assert "golden window" in line
    assert "the exporter" in line
    assert "tolerance 0.001" in line
    assert "ai-edge-litert" in line
    assert "--trust-anyway" in line
    assert all(one.startswith("error: ") for one in tried)
    with pytest.raises(UntrustedModelError):
        open_verified(golden)


def test_a_broken_interpreter_that_must_be_trusted_is(
    golden: Path, broken: Callable[[Break], None], tmp_path: Path
) -> None:
    broken(BREAKS["permuted"])
    soundfile.write(tmp_path / "song.wav", tone(3, sample_rate=22_050), 22_050)
    done = listen_command(tmp_path / "song.wav", "--model", golden, "--trust-anyway")
    assert done.exit_code == 0, done.stderr
    assert "song.wav" in done.stdout


def test_the_next_engine_that_passes_is_taken(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invoke = litert.LiteRTInterpreter.invoke

    def only_litert_is_broken(self: litert.LiteRTInterpreter, model_input: Any) -> NDArray[np.float32]:
        return invoke(self, model_input) * np.float32(np.nan if self.runtime.startswith("ai-edge-litert") else 1)

    monkeypatch.setattr(litert.LiteRTInterpreter, "invoke", only_litert_is_broken)
    assert open_verified(golden).runtime.startswith("tensorflow")


def test_a_service_whose_model_is_not_trusted_is_not_restarted(
    golden: Path, broken: Callable[[Break], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edge_runtime.service import MISCONFIGURED, ServiceSettings, unit_text

    broken(BREAKS["NaN"])
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    assert listen_command("song.wav", "--model", golden).exit_code == MISCONFIGURED
    assert f"RestartPreventExitStatus={MISCONFIGURED}\n" in unit_text(ServiceSettings(golden))


def test_a_file_without_golden_windows_is_taken_as_it_is(brief_model: Path) -> None:
    assert check_golden(open_interpreter(brief_model)) == []
    assert open_verified(brief_model)


@pytest.mark.parametrize(
    "golden_of_card",
    [
        {"version": 1},
        {"version": 1, "tolerance": 0.1, "probabilities": {}},
        {"version": 1, "tolerance": 1e9, "probabilities": {"loud": [1.0]}},
        {"version": 1, "tolerance": 0.1, "probabilities": {"loud": [1.0]}},
        {"version": 1, "tolerance": 0.1, "probabilities": {"loud": "abc"}},
        {"version": 1, "tolerance": 0.1, "probabilities": [1.0]},
    ],
)
def test_malformed_golden_windows_are_refused_in_one_line(
    golden_of_card: dict[str, Any], graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    path = tmp_path / "malformed.tflite"
    write_with_card(graphs["tflite"], card.replace(export={"golden": golden_of_card}), path)
    with pytest.raises(TmgcError, match="golden windows are malformed"):
        open_verified(path)


def test_a_result_names_the_worst_probability() -> None:
    result = GoldenResult("loud", (0.7, 0.2, 0.1), (0.7, float("nan"), 0.1), 0.1)
    assert not result.passed
    assert "computes nan for genre 2, the exporter 0.2" in result.failure("litert 2")
    assert not GoldenResult("loud", (0.7, 0.3), (0.75, 0.35), 0.1).passed, "the sum is not 1"
    assert GoldenResult("loud", (0.7, 0.3), (0.75, 0.25), 0.1).passed
