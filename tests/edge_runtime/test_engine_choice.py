"""The fastest engine that is right is taken, and remembered for the board, the file and the library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, ModelCard, engine_choice
from edge_runtime.engine_choice import _choice, choose_engine, find_candidates, memory_file, open_verified, read_trials
from edge_runtime.engine_trial import Candidate, Trial, try_engine
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.interpreters import ENGINES, installed_engines, litert
from edge_runtime.model_file import read_card
from export.metadata import write_with_card
from tests.conftest import tone
from tests.edge_runtime.factories import listen_command


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is remembered when a test begins; returns the folder for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tmgc"


@pytest.fixture
def both(models: dict[str, Path], tmp_path: Path) -> Path:
    """A TFLite file beside the ONNX file of the same network."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for path in models.values():
        shutil.copy(path, folder)
    return folder / models["tflite"].name


@pytest.fixture
def song(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "song.wav", tone(5, sample_rate=22_050), 22_050)
    return tmp_path / "song.wav"


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """The trials that are made; the list grows."""
    made = list[Candidate]()

    def counted(candidate: Candidate, **options: Any) -> Trial:
        made.append(candidate)
        return try_engine(candidate, **options)

    monkeypatch.setattr(engine_choice, "try_engine", counted)
    return made


def test_the_file_itself_and_the_same_export_in_the_other_format_are_tried_by_every_library(both: Path) -> None:
    other = both.with_suffix(".onnx")
    ways = [(both, name) for name in installed_engines(both)] + [(other, name) for name in installed_engines(other)]
    assert [tuple(each) for each in find_candidates(both)] == ways
    assert (ways[0][1], ways[len(installed_engines(both))][1]) == ("litert", "onnxruntime")
    assert find_candidates(other)[0] == Candidate(other, "onnxruntime")


def test_a_file_of_another_run_or_recipe_beside_a_model_is_left_alone(both: Path, graphs: dict[str, Path]) -> None:
    other = both.with_suffix(".onnx")
    card = read_card(other)
    without = {name: value for name, value in card.export.items() if name != "keras_sha256"}
    for another in (
        card.replace(genres=("Caz", "Halk", "Rock")),
        card.replace(export={**card.export, "recipe": "int8"}),
        card.replace(export={**card.export, "keras_sha256": "of another training"}),
        card.replace(export={**card.export, "golden": {"keras": "other answers"}}),
        card.replace(export=without),
    ):
        write_with_card(graphs["onnx"], another, other)
        assert {each.file for each in find_candidates(both)} == {both}
    write_with_card(graphs["onnx"], card, other)
    assert {each.file for each in find_candidates(both)} == {both, other}
    other.write_bytes(b"no model")
    assert {each.file for each in find_candidates(both)} == {both}


def test_an_engine_that_failed_the_parity_check_takes_no_part_unless_it_is_named(
    both: Path, graphs: dict[str, Path]
) -> None:
    other = both.with_suffix(".onnx")
    card = read_card(other)
    parity = {"passed": True, "other_engines": {"onnxruntime": {"passed": False}}}
    write_with_card(graphs["onnx"], card.replace(export={**card.export, "parity": parity}), other)
    assert Candidate(other, "onnxruntime") not in find_candidates(both)
    assert find_candidates(both, "onnxruntime") == [Candidate(other, "onnxruntime")]
    both.unlink()
    engines = {"onnxruntime": {"passed": False}, "openvino": {"passed": False}}
    parity = {"passed": True, "other_engines": engines}
    write_with_card(graphs["onnx"], card.replace(export={**card.export, "parity": parity}), other)
    with pytest.raises(UntrustedModelError, match="a model must answer as Keras does"):
        find_candidates(other)


def test_golden_windows_of_another_kind_are_no_reason_to_end(both: Path, graphs: dict[str, Path]) -> None:
    other = both.with_suffix(".onnx")
    card = read_card(other)
    kinds: tuple[Any, ...] = (None, 3, [], "golden")
    for golden in kinds:
        write_with_card(graphs["onnx"], card.replace(export={**card.export, "golden": golden}), other)
        assert {each.file for each in find_candidates(both)} == {both}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_says_nothing_about_a_file(models: dict[str, Path], tmp_path: Path) -> None:
    for form, path in models.items():
        odd = tmp_path / os.fsdecode(b"\xff." + form.encode())
        shutil.copy(path, odd)
        choice = choose_engine(odd, threads=1)
        assert not choice.failed
        assert all(not trial.failure for trial in read_trials().values())


def test_the_fastest_is_first_unless_it_hardly_matters() -> None:
    own, other, failing = (Candidate(Path(name), "engine") for name in "abc")
    for own_ms, other_ms, best in ((10.0, 8.9, other), (10.0, 9.1, own), (8.0, 10.0, own)):
        found = {
            own: Trial("x 1", own_ms, 60),
            other: Trial("y 1", other_ms, 60),
            failing: Trial(failure="golden window"),
        }
        choice = _choice(found, {}, remembered=False)
        assert next(iter(choice.trials)) == best
        assert set(choice.trials) == {own, other}
        assert set(choice.failed) == {failing}


def test_the_fastest_of_a_race_is_what_runs(both: Path, trials: list[Candidate]) -> None:
    verified = open_verified(both, threads=1)
    assert len(trials) == len(find_candidates(both)) >= 2
    best, trial = next(iter(verified.choice.trials.items()))
    assert (verified.interpreter.path, verified.interpreter.runtime) == (best.file, trial.runtime)
    assert len(verified.results) == 6


def test_trials_are_remembered_until_the_threads_the_library_or_the_board_are_others(
    models: dict[str, Path], trials: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models["tflite"]
    ways = len(find_candidates(model))
    first = choose_engine(model, threads=1)
    again = choose_engine(model, threads=1)
    assert len(trials) == ways
    assert again.trials == first.trials
    assert (first.remembered, again.remembered) == (False, True)
    choose_engine(model, threads=2)
    assert len(trials) == 2 * ways
    monkeypatch.setitem(ENGINES, "litert", ENGINES["litert"]._replace(distribution="numpy"))  # another version
    choose_engine(model, threads=1)
    assert len(trials) == 3 * ways
    monkeypatch.setattr(engine_choice, "board_model", lambda: "Raspberry Pi 5 Model B Rev 1.0")
    choose_engine(model, threads=1)
    assert len(trials) == 4 * ways
    assert len(read_trials()) == 4 * ways, "the card may come back to the other board"
    assert choose_engine(model, threads=1, again=True).remembered is False


def test_the_same_model_under_another_name_is_remembered_and_another_content_is_not(
    models: dict[str, Path], graphs: dict[str, Path], card: ModelCard, tmp_path: Path, trials: list[Candidate]
) -> None:
    choose_engine(models["tflite"], threads=1)
    choose_engine(Path(shutil.copy(models["tflite"], tmp_path / "renamed.tflite")), threads=1)
    assert len(trials) == 1
    graph = bytearray(graphs["tflite"].read_bytes())
    graph[-1] ^= 1
    (tmp_path / "graph.tflite").write_bytes(graph)
    write_with_card(tmp_path / "graph.tflite", card, tmp_path / "renamed.tflite")
    choose_engine(tmp_path / "renamed.tflite", threads=1)
    assert len(trials) == 2


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{}",
        "[]",
        '{"schema": 1}',
        "[" * 100_000,
        '{"schema": 1, "trials": []}',
        '{"schema": 1, "trials": {"KEY": 3}}',
        '{"schema": 1, "trials": {"KEY": {"command": "rm"}}}',
        '{"schema": 1, "trials": {"KEY": {"failure": 3}}}',
        *(
            '{"schema": 1, "trials": {"KEY": {"window_ms": NUMBER}}}'.replace("NUMBER", number)
            for number in ("NaN", "Infinity", "-5", "true", '"fast"', "1" + 400 * "0")
        ),
    ],
)
def test_a_damaged_memory_is_none(damaged: str, models: dict[str, Path]) -> None:
    choose_engine(models["tflite"], threads=1)
    kept = json.loads(memory_file().read_text())
    memory_file().write_text(damaged.replace("KEY", next(iter(kept["trials"]))))
    assert read_trials() == {}


def test_a_memory_that_cannot_be_written_is_told_and_costs_nothing_else(
    models: dict[str, Path], forgetful: Path, notices: list[str]
) -> None:
    forgetful.parent.mkdir(parents=True)
    forgetful.write_text("a file where a folder should be")
    for _ in range(2):
        assert not choose_engine(models["tflite"], threads=1).remembered
    assert "is not remembered" in notices[-1]


def test_without_a_home_or_in_that_of_another_user_nothing_is_remembered(
    models: dict[str, Path], forgetful: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str], tmp_path: Path
) -> None:
    forgetful.mkdir(parents=True)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    choose_engine(models["tflite"], threads=1)
    assert "the folder belongs to another user" in notices[-1]
    assert list(forgetful.iterdir()) == []
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 12345)  # of whom the system knows no home
    monkeypatch.chdir(tmp_path)
    assert not choose_engine(models["tflite"], threads=1).remembered


def test_a_service_remembers_where_systemd_lets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path}:{tmp_path / 'second'}")
    assert memory_file() == tmp_path / "engines.json"


@pytest.fixture
def broken_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT computes nonsense from now on; not in other processes."""
    invoke = litert.LiteRTInterpreter.invoke

    def nonsense(self: litert.LiteRTInterpreter, window: Any) -> NDArray[np.float32]:
        return invoke(self, window) * np.float32(np.nan)

    monkeypatch.setattr(litert.LiteRTInterpreter, "invoke", nonsense)


@pytest.mark.usefixtures("broken_litert")
def test_the_next_way_that_passes_is_taken_with_a_line(both: Path, song: Path) -> None:
    done = listen_command(song, "--model", both, "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["model"]["file"] == str(both.with_suffix(".onnx"))
    with pytest.raises(UntrustedModelError, match="golden window 'loud'"):
        GenreClassifier.open(both, engine="litert")


def test_one_that_fails_its_trial_is_left_out_and_not_tried_at_every_start(
    both: Path, graphs: dict[str, Path], song: Path, trials: list[Candidate]
) -> None:
    export = json.loads(GenreClassifier.open(both).card.to_json())["export"]
    for window, values in export["golden"]["probabilities"].items():
        export["golden"]["probabilities"][window] = [*values[1:], values[0]]
    card = GenreClassifier.open(both).card
    write_with_card(graphs["onnx"], card.replace(export=export), both.with_suffix(".onnx"))
    trials.clear()
    first, second = (listen_command(song, "--model", both, "--plain") for _ in range(2))
    assert "tiny.float32.onnx by onnxruntime is left out: a model must compute here" in first.stderr
    assert "is left out" not in second.stderr
    assert len(trials) == len(find_candidates(both))
    with pytest.raises(UntrustedModelError, match="golden window 'loud'"):
        choose_engine(both, threads=1, engine="onnxruntime")
    assert trials[-1].engine == "onnxruntime", "alone it is tried again"


def test_a_library_for_which_there_is_too_little_memory_is_not_remembered_as_one_that_fails(
    models: dict[str, Path],
) -> None:
    if not ENGINES["openvino"].installed:
        pytest.skip("OpenVINO, which needs the most, is not installed")
    code = (
        "import resource, sys; from edge_runtime.engine_choice import *;"
        "resource.setrlimit(resource.RLIMIT_AS, (260_000_000, 260_000_000));"
        "choice = choose_engine(sys.argv[1], threads=1); print(*choice.failed.values(), len(read_trials()))"
    )
    command = [sys.executable, "-c", code, str(models["onnx"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tiny.float32.onnx" in done.stdout, "OpenVINO is left out"
    assert done.stdout.endswith(" 1\n"), "and not remembered"


def test_an_engine_that_is_named_is_taken_with_the_file_that_it_runs(both: Path, song: Path) -> None:
    for name, suffix, library in (("onnxruntime", ".onnx", "onnxruntime "), ("litert", ".tflite", "ai-edge-litert ")):
        done = listen_command(song, "--model", both, "--json", "--engine", name)
        model = json.loads(done.stdout.splitlines()[-1])["model"]
        assert (Path(model["file"]).suffix, model["runtime"].startswith(library)) == (suffix, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fastest", "an engine must be one of auto, litert, tflite-runtime, "),
        ("onnxruntime", "an engine must be installed, and run the file: onnxruntime does not run "),
    ],
)
@pytest.mark.parametrize("trust", [(), ("--trust-anyway",)])
def test_an_engine_that_does_not_fit_is_refused_in_one_line(
    name: str, said: str, trust: tuple[str, ...], models: dict[str, Path], song: Path
) -> None:
    done = listen_command(song, "--model", models["tflite"], "--engine", name, *trust)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_damaged_file_is_replaced_by_its_sound_sibling_with_a_line_and_alone_it_is_refused(
    both: Path, notices: list[str], trials: list[Candidate]
) -> None:
    content = bytearray(both.read_bytes())
    content[300] ^= 1
    both.write_bytes(content)
    assert open_verified(both).interpreter.path == both.with_suffix(".onnx")
    assert any("the SHA-256 of the graph" in line for line in notices)
    both.with_suffix(".onnx").unlink()
    with pytest.raises(TmgcError, match="the SHA-256 of the graph"):
        open_verified(both)
