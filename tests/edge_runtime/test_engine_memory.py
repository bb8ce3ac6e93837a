"""Trials are remembered for the board, the file, the library and the threads, and only where that is possible."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_runtime import ModelCard, engine_memory
from edge_runtime.engine_choice import choose_engine, find_candidates
from edge_runtime.engine_memory import memory_file, read_memory, trial_keys
from edge_runtime.engine_trial import Candidate
from edge_runtime.files import sha256_of
from edge_runtime.interpreters import ENGINES
from export.metadata import write_with_card


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is remembered when a test begins; returns the folder for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tmgc"


def test_trials_are_remembered_until_one_is_asked_for_again(models: dict[str, Path]) -> None:
    model = models["tflite"]
    ways = {*find_candidates(model)}
    first = choose_engine(model, threads=1)
    second = choose_engine(model, threads=1)
    assert second.trials == first.trials
    assert first.tried == second.earlier.keys() == ways
    assert not first.earlier
    assert not second.tried
    assert first.memory == second.memory == memory_file()
    assert choose_engine(model, threads=2).tried == ways
    assert len(read_memory()) == 2 * len(ways), "both are kept"
    assert choose_engine(model, threads=1, again=True).tried == ways


def test_the_threads_the_library_and_the_board_are_parts_of_a_key(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = Candidate(models["tflite"], "litert")
    keys = [trial_keys([candidate], threads)[candidate] for threads in (1, 2)]
    with monkeypatch.context() as patch:
        patch.setitem(ENGINES, "litert", ENGINES["litert"]._replace(distribution="numpy"))  # another version
        keys += trial_keys([candidate], 1).values()
    for what, other in (("board_model", "Raspberry Pi 5 Model B Rev 1.0"), ("cpu_features", ("CPU part\t: 0xd0b",))):
        with monkeypatch.context() as patch:
            patch.setattr(engine_memory, what, lambda other=other: other)
            keys += trial_keys([candidate], 1).values()
    assert len({*keys}) == len(keys) == 5
    assert trial_keys([candidate], 1)[candidate] == keys[0]


def test_the_same_model_under_another_name_is_remembered_and_another_content_is_not(
    models: dict[str, Path], graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    choose_engine(models["tflite"], threads=1)
    renamed = Path(shutil.copy(models["tflite"], tmp_path / "renamed.tflite"))
    assert not choose_engine(renamed, threads=1).tried
    graph = bytearray(graphs["tflite"].read_bytes())
    graph[-1] ^= 1
    (tmp_path / "graph.tflite").write_bytes(graph)
    write_with_card(tmp_path / "graph.tflite", card, renamed)
    assert choose_engine(renamed, threads=1).tried


def test_each_file_is_hashed_once(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = list[Path]()

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr(engine_memory, "sha256_of", counted)
    monkeypatch.setitem(ENGINES, "openvino", ENGINES["openvino"]._replace(distribution="numpy"))  # which is installed
    keys = trial_keys([Candidate(models["onnx"], name) for name in ("onnxruntime", "openvino")], threads=1)
    assert hashed == [models["onnx"]]
    assert len(set(keys.values())) == 2


_ENTRY = '{"trial": TRIAL, "time": 1.0, "seconds": 1.0, "settled": true}'
_TRIAL = '{"runtime": "x 1", "window_ms": 1.0, "memory_mb": 1.0, "failure": ""}'


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{}",
        "[]",
        '{"schema": 2}',
        "[" * 100_000,
        '{"schema": 2, "trials": []}',
        *(
            f'{{"schema": 2, "trials": {{"KEY": {entry}}}}}'
            for entry in (
                "3",
                "{}",
                '{"command": "rm"}',
                *(
                    _ENTRY.replace("TRIAL", trial)
                    for trial in (
                        "3",
                        "{}",
                        '{"failure": 3}',
                        _TRIAL.replace("x 1", ""),
                        *(
                            _TRIAL.replace('"window_ms": 1.0', f'"window_ms": {number}')
                            for number in ("0", "NaN", "Infinity", "-5", "true", '"fast"', "1" + 400 * "0")
                        ),
                    )
                ),
                *(
                    _ENTRY.replace("TRIAL", _TRIAL).replace(f'"{name}": {value}', f'"{name}": {other}')
                    for name, value, other in (
                        ("time", "1.0", "1e300"),
                        ("time", "1.0", "null"),
                        ("seconds", "1.0", "-1"),
                        ("settled", "true", "1"),
                    )
                ),
            )
        ),
    ],
)
def test_a_damaged_memory_is_none(damaged: str, forgetful: Path) -> None:
    forgetful.mkdir(parents=True)
    path = forgetful / "engines.json"
    path.write_text(f'{{"schema": 2, "trials": {{"KEY": {_ENTRY.replace("TRIAL", _TRIAL)}}}}}')
    assert list(read_memory()) == ["KEY"], "undamaged it is read"
    path.write_text(damaged)
    assert read_memory() == {}


def test_a_memory_that_cannot_be_written_is_told_and_costs_nothing_else(
    models: dict[str, Path], forgetful: Path, notices: list[str]
) -> None:
    forgetful.parent.mkdir(parents=True)
    forgetful.write_text("a file where a folder should be")
    for _ in range(2):
        choice = choose_engine(models["tflite"], threads=1)
        assert choice.tried
        assert choice.memory is None
    assert "is not remembered" in notices[-1]


def test_in_the_folder_of_another_user_nothing_is_remembered(
    models: dict[str, Path], forgetful: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    forgetful.mkdir(parents=True)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    choose_engine(models["tflite"], threads=1)
    assert "the folder belongs to another user" in notices[-1]
    assert list(forgetful.iterdir()) == []


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom neither the environment nor the system knows a home."""
    for name in ("XDG_CACHE_HOME", "HOME", "USERPROFILE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 12345)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_remembered(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, notices: list[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert choose_engine(models["tflite"], threads=1).tried
    assert "is not remembered: [Errno 2] the user has no home" in notices[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_absolute_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("CACHE_DIRECTORY", "cache")
    assert memory_file() == tmp_path / ".cache/tmgc/engines.json"


def test_a_service_remembers_where_systemd_lets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path}:{tmp_path / 'second'}")
    assert memory_file() == tmp_path / "engines.json"
