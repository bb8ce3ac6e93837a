"""The fastest engine that is right is taken, and remembered for the board, the file and the library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, engine_choice
from edge_runtime.engine_choice import (
    _fastest_first,
    choose_engine,
    find_candidates,
    open_by_first_engine,
    open_verified,
)
from edge_runtime.engine_memory import memory_file, read_memory, trial_keys
from edge_runtime.engine_trial import Candidate, Trial, try_engine
from edge_runtime.errors import TmgcError, TooLittleMemoryError, UntrustedModelError
from edge_runtime.interpreters import ENGINES, installed_engines, litert
from edge_runtime.model_file import read_card
from export.metadata import write_with_card
from tests.conftest import tone
from tests.edge_runtime.factories import listen_command, wrong_in_onnxruntime


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


class Tried(NamedTuple):
    """A trial that was made."""

    candidate: Candidate
    seconds: float


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Tried]:
    """The trials that are made; the list grows."""
    made = list[Tried]()

    def counted(candidate: Candidate, **options: Any) -> Trial:
        made.append(Tried(candidate, options["seconds"]))
        return try_engine(candidate, **options)

    monkeypatch.setattr(engine_choice, "try_engine", counted)
    return made


@pytest.fixture
def brief_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """A race takes no three seconds, where its figures do not matter."""
    monkeypatch.setattr(engine_choice, "RACE_SECONDS", 0.03)


def read_text() -> str:
    """What is remembered, as it is on the disk."""
    path = memory_file()
    assert path
    return path.read_text("utf-8")


def write_text(text: str) -> None:
    """Remember something else."""
    path = memory_file()
    assert path
    path.write_text(text, "utf-8")


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
        assert all(not past.trial.failure for past in read_memory().values())


def test_the_fastest_is_first_unless_it_hardly_matters() -> None:
    own, other = (Candidate(Path(name), "engine") for name in "ab")
    for own_ms, other_ms, best in ((10.0, 8.9, other), (10.0, 9.1, own), (8.0, 10.0, own)):
        sorted_trials = _fastest_first({own: Trial("x 1", own_ms, 60), other: Trial("y 1", other_ms, 60)})
        assert next(iter(sorted_trials)) == best
        assert set(sorted_trials) == {own, other}


def test_the_fastest_of_a_race_of_three_seconds_is_what_runs(both: Path, trials: list[Tried]) -> None:
    verified = open_verified(both, threads=1)
    assert [each.candidate for each in trials] == find_candidates(both)
    assert sum(each.seconds for each in trials) == pytest.approx(3)
    assert len({each.seconds for each in trials}) == 1
    best, trial = next(iter(verified.choice.trials.items()))
    assert (verified.interpreter.path, verified.interpreter.runtime) == (best.file, trial.runtime)
    assert verified.candidate == best
    assert len(verified.results) == 6


@pytest.mark.usefixtures("brief_race")
def test_ways_that_were_never_timed_are_raced_once(both: Path, trials: list[Tried]) -> None:
    candidates = find_candidates(both)
    for candidate in candidates:
        choose_engine(both, threads=1, engine=str(candidate.engine))
    assert [each.seconds for each in trials] == [0.0] * len(candidates)
    trials.clear()
    assert choose_engine(both, threads=1).tried == {*candidates}
    assert [each.candidate for each in trials] == candidates
    assert all(each.seconds > 0 for each in trials)
    assert choose_engine(both, threads=1).tried == frozenset()
    assert choose_engine(both, threads=1, engine="litert").tried == frozenset(), "which a race has told"
    choose_engine(both, threads=1, engine="litert", again=True)
    assert choose_engine(both, threads=1).tried == frozenset(), "it was timed again"


@pytest.mark.usefixtures("brief_race")
def test_only_what_is_not_known_is_tried(both: Path, models: dict[str, Path], trials: list[Tried]) -> None:
    choose_engine(both, threads=1)
    memory, trials[:] = json.loads(read_text()), []
    key = trial_keys([Candidate(both, "litert")], 1)[Candidate(both, "litert")]
    memory["trials"].pop(key)
    write_text(json.dumps(memory))
    assert choose_engine(both, threads=1).tried == {Candidate(both, "litert")}
    assert [each.seconds > 0 for each in trials] == [True]


@pytest.fixture
def beside_crashing(both: Path, graphs: dict[str, Path]) -> Path:
    """An ONNX file beside a TFLite file of the same network that crashes LiteRT: its table has no buffers."""
    content = bytearray(graphs["tflite"].read_bytes())
    content[18:20] = b"\0\0"
    graph, card = both.with_name("graph.tflite"), read_card(both)
    graph.write_bytes(content)
    write_with_card(graph, card, both)
    return both.with_suffix(".onnx")


@pytest.mark.usefixtures("brief_race")
def test_one_that_crashes_is_tried_again_after_a_day_and_alone_at_once(
    beside_crashing: Path, trials: list[Tried], notices: list[str]
) -> None:
    crashing = Candidate(beside_crashing.with_suffix(".tflite"), "litert")
    first = open_verified(beside_crashing, threads=1)
    assert "crashes" in first.choice.failed[crashing]
    assert "crashes" in notices[-1]
    notices.clear()
    trials.clear()
    second = open_verified(beside_crashing, threads=1)
    assert (second.choice.tried, second.choice.failed) == (frozenset(), first.choice.failed)
    assert (notices, trials) == ([], [])
    for hours, tried in ((23, set()), (25, {crashing}), (-25, {crashing})):
        _age(hours)
        assert choose_engine(beside_crashing, threads=1).tried == tried
    with pytest.raises(UntrustedModelError, match="crashes"):
        choose_engine(crashing.file, threads=1, engine="litert")
    assert trials[-1].candidate == crashing
    assert choose_engine(beside_crashing, threads=1, again=True).tried == {*find_candidates(beside_crashing)}


def _age(hours: float) -> None:
    """Make what is remembered older."""
    memory = json.loads(read_text())
    for entry in memory["trials"].values():
        entry["time"] = time.time() - hours * 3600
    write_text(json.dumps(memory))


@pytest.mark.usefixtures("brief_race")
def test_where_nothing_else_works_what_has_failed_before_is_tried_again(
    beside_crashing: Path, trials: list[Tried]
) -> None:
    choose_engine(beside_crashing, threads=1)
    memory = json.loads(read_text())
    for entry in memory["trials"].values():
        entry["trial"]["failure"] = entry["trial"]["failure"] or "as it was yesterday"
    write_text(json.dumps(memory))
    trials.clear()
    assert set(choose_engine(beside_crashing, threads=1).trials) == {
        Candidate(beside_crashing, name) for name in installed_engines(beside_crashing)
    }
    assert len(trials) == len(find_candidates(beside_crashing))


def test_a_library_for_which_there_is_too_little_memory_is_remembered_for_a_day(models: dict[str, Path]) -> None:
    if not ENGINES["openvino"].installed:
        pytest.skip("OpenVINO, which needs the most, is not installed")
    code = (
        "import resource, sys; from edge_runtime.engine_choice import *;"
        "resource.setrlimit(resource.RLIMIT_AS, (260_000_000, 260_000_000));"
        "print(*choose_engine(sys.argv[1], threads=1).failed.values())"
    )
    command = [sys.executable, "-c", code, str(models["onnx"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tiny.float32.onnx" in done.stdout, "OpenVINO is left out"
    (failed,) = [past for past in read_memory().values() if past.trial.failure]
    assert not failed.settled
    assert failed.is_left_out


@pytest.mark.parametrize(
    "errors",
    [[TmgcError, TooLittleMemoryError], [TmgcError, TooLittleMemoryError, UntrustedModelError]],
)
def test_where_all_fail_the_reason_is_told_that_matters_most(
    errors: list[type[TmgcError]], both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = iter([*errors, *[TmgcError] * len(find_candidates(both))])

    def fails(candidate: Candidate, **_: Any) -> Trial:
        raise next(reasons)(candidate.name)

    monkeypatch.setattr(engine_choice, "try_engine", fails)
    with pytest.raises(TmgcError) as caught:
        choose_engine(both, threads=1)
    assert type(caught.value) is errors[-1]


def test_another_file_that_failed_its_parity_check_or_cannot_be_verified_takes_no_part(
    both: Path, graphs: dict[str, Path]
) -> None:
    other = both.with_suffix(".onnx")
    card = read_card(other)
    for export in ({"parity": {"passed": False}}, {"golden": {**card.export["golden"], "version": 0}}):
        write_with_card(graphs["onnx"], card.replace(export={**card.export, **export}), other)
        assert {each.file for each in find_candidates(both)} == {both}
        assert find_candidates(both, "onnxruntime") == [Candidate(other, "onnxruntime")], "unless it is named"


def test_files_without_golden_windows_are_not_raced(both: Path, graphs: dict[str, Path]) -> None:
    for file in (both, both.with_suffix(".onnx")):
        export = {name: value for name, value in read_card(file).export.items() if name != "golden"}
        write_with_card(graphs[file.suffix[1:]], read_card(file).replace(export=export), file)
    assert find_candidates(both) == [Candidate(both, "litert")]
    assert find_candidates(both.with_suffix(".onnx")) == [Candidate(both.with_suffix(".onnx"), "onnxruntime")]


def test_work_in_one_way_is_done_by_the_first_engine_of_the_file_itself(both: Path, trials: list[Tried]) -> None:
    for path, name in ((both, "litert"), (both.with_suffix(".onnx"), "onnxruntime")):
        trials.clear()
        assert open_by_first_engine(path, threads=1).candidate == Candidate(path, name)
        assert trials == [(Candidate(path, name), 0.0)]
    assert open_by_first_engine(both, threads=1).choice.tried == frozenset()


def test_work_in_one_way_is_done_by_the_next_engine_where_the_first_one_fails(
    both: Path, graphs: dict[str, Path], trials: list[Tried], notices: list[str]
) -> None:
    if not ENGINES["openvino"].installed:
        pytest.skip("OpenVINO, the second engine of a format, is not installed")
    path = both.with_suffix(".onnx")
    write_with_card(graphs["onnx"], wrong_in_onnxruntime(read_card(path)), path)
    assert open_by_first_engine(path, threads=1).candidate == Candidate(path, "openvino")
    assert "by onnxruntime is left out: a model must compute here what" in notices[-1]
    notices.clear()
    trials.clear()
    assert open_by_first_engine(path, threads=1).candidate == Candidate(path, "openvino")
    assert (notices, trials) == ([], [])


def test_work_in_one_way_is_refused_where_the_file_failed_parity_in_each_engine(
    both: Path, graphs: dict[str, Path]
) -> None:
    path = both.with_suffix(".onnx")
    card = read_card(path)
    others = {name: {"passed": False} for name in installed_engines(path)}
    export = {**card.export, "parity": {"passed": True, "other_engines": others}}
    write_with_card(graphs["onnx"], card.replace(export=export), path)
    assert find_candidates(path) == [Candidate(both, "litert")]
    with pytest.raises(UntrustedModelError, match="a model must answer as Keras does") as refusal:
        open_by_first_engine(path, threads=1)
    assert "tmgc-listen --engine" in str(refusal.value), "other commands have no such option"


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
    both: Path, graphs: dict[str, Path], song: Path, trials: list[Tried]
) -> None:
    other = both.with_suffix(".onnx")
    export = json.loads(read_card(other).to_json())["export"]
    for window, values in export["golden"]["probabilities"].items():
        export["golden"]["probabilities"][window] = [*values[1:], values[0]]
    write_with_card(graphs["onnx"], read_card(other).replace(export=export), other)
    first, second = (listen_command(song, "--model", both, "--plain") for _ in range(2))
    assert "tiny.float32.onnx by onnxruntime is left out: a model must compute here" in first.stderr
    assert "is left out" not in second.stderr
    assert len(trials) == len(find_candidates(both))
    with pytest.raises(UntrustedModelError, match="golden window 'loud'"):
        choose_engine(both, threads=1, engine="onnxruntime")
    assert trials[-1].candidate.engine == "onnxruntime", "alone it is tried again"


def test_an_engine_that_is_named_is_taken_with_the_file_that_it_runs(both: Path, song: Path) -> None:
    for name, suffix, library in (("onnxruntime", ".onnx", "onnxruntime "), ("litert", ".tflite", "ai-edge-litert ")):
        done = listen_command(song, "--model", both, "--json", "--engine", name)
        model = json.loads(done.stdout.splitlines()[-1])["model"]
        assert (Path(model["file"]).suffix, model["runtime"].startswith(library)) == (suffix, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fastest", "an engine must be one of auto, litert, tflite-runtime, "),
        ("onnxruntime", "Take a .onnx file; or leave --engine out"),
        ("tflite-runtime", "-m pip install tflite-runtime; or leave --engine out"),
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
    both: Path, notices: list[str], trials: list[Tried]
) -> None:
    content = bytearray(both.read_bytes())
    content[300] ^= 1
    both.write_bytes(content)
    assert open_verified(both).interpreter.path == both.with_suffix(".onnx")
    assert any("the SHA-256 of the graph" in line for line in notices)
    both.with_suffix(".onnx").unlink()
    with pytest.raises(TmgcError, match="the SHA-256 of the graph"):
        open_verified(both)
