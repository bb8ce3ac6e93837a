from pathlib import Path

import pytest
import soundfile

from benchmarks.checks.start_up import _LISTEN, _REFERENCE, time_process, time_start_up, write_window
from edge_runtime.errors import TmgcError
from train.run import Run


def test_the_window_is_a_file_of_two_seconds(tiny_run: Run, tmp_path: Path) -> None:
    path = write_window(tiny_run, tmp_path / "two-seconds.wav")
    assert soundfile.info(path).duration == pytest.approx(2.0)


def test_the_start_of_tmgc_listen_is_timed(tiny_run: Run, tmp_path: Path) -> None:
    audio = write_window(tiny_run, tmp_path / "two-seconds.wav")
    assert time_process((_LISTEN, str(audio), "--model", str(tiny_run.exports / "tiny.float32.tflite")), threads=1) > 0


def test_the_reference_and_tmgc_listen_get_the_same_number_of_threads(
    tiny_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[tuple[str, ...], int]] = []

    def record(arguments: tuple[str, ...], *, threads: int) -> float:
        started.append((arguments, threads))
        return 1.0

    monkeypatch.setattr("benchmarks.checks.start_up.default_threads", lambda: 4)  # of a board with five cores
    monkeypatch.setattr("benchmarks.checks.start_up.time_process", record)
    time_start_up(tiny_run, "tflite-float32", pairs=1, progress=lambda pair: None)
    assert len(started) == 4
    assert {(arguments[-1], threads) for arguments, threads in started} == {("4", 4)}


@pytest.mark.full
def test_both_ways_are_started_in_turn_and_their_ratio_is_given(keras_run: Run) -> None:
    pairs: list[int] = []
    result = time_start_up(keras_run, "tflite-float32", pairs=1, progress=pairs.append)
    assert pairs == [0, 1]
    assert [line.split(": ")[0] for line in result.lines] == ["reference", "tmgc-listen (tflite-float32)", "ratio"]
    assert result.ratio.median > 1.0


@pytest.mark.full
def test_a_reference_that_fails_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=r"^a process that is timed must succeed: import sys; .* ended with 1 \(.*\)$"):
        time_process((_REFERENCE, str(tmp_path / "no.keras"), "no.wav", "1"), threads=1)


def test_a_process_that_fails_is_not_timed() -> None:
    with pytest.raises(TmgcError, match="ended with 3"):
        time_process(("raise SystemExit(3)",), threads=1)


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.checks.start_up.TIMEOUT_SECONDS", 0.2)
    with pytest.raises(TmgcError, match=r"must end within 0\.2 s"):
        time_process(("import time; time.sleep(60)",), threads=1)


def test_an_unknown_export_is_refused_with_those_that_there_are(tiny_run: Run) -> None:
    with pytest.raises(TmgcError, match="tflite-float32"):
        time_start_up(tiny_run, "tflite-int4", pairs=1, progress=lambda pair: None)
