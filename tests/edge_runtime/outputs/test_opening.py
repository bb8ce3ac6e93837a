"""The outputs that are asked for are opened, and closed whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import GenreClassifier, TmgcError
from edge_runtime.outputs.factory import OnlyChanges, OutputSettings, open_outputs
from edge_runtime.outputs.json_lines import JsonLines
from edge_runtime.outputs.sqlite import History, read_history
from edge_runtime.outputs.text import PlainLines


@pytest.fixture(scope="module")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    return GenreClassifier.open(models["tflite"], threads=1)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (OutputSettings(), PlainLines),
        (OutputSettings(plain=True), PlainLines),
        (OutputSettings(as_json=True), JsonLines),
        (OutputSettings(changes=True), OnlyChanges),
        (OutputSettings(as_json=True, changes=True), OnlyChanges),
    ],
)
def test_standard_output_has_one_form(settings: OutputSettings, kind: type, classifier: GenreClassifier) -> None:
    with open_outputs(settings, classifier, Path("m.tflite"), hop_seconds=1.0) as outputs:
        assert [type(output) for output in outputs] == [kind]


def test_a_history_stands_beside_it_and_is_closed_after_an_error(classifier: GenreClassifier, tmp_path: Path) -> None:
    settings = OutputSettings(history=tmp_path / "h.sqlite", changes=True)

    def broken() -> None:
        with open_outputs(settings, classifier, Path("m.tflite"), hop_seconds=1.0) as outputs:
            assert [type(output) for output in outputs] == [History, OnlyChanges]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert not list(tmp_path.glob("*-wal"))
    with closing(read_history(tmp_path / "h.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchone() == (0,)


@pytest.mark.parametrize(
    "wrong",
    [{"as_json": True, "plain": True}, {"keep_days": 0.0}, {"keep_days": -1.0}, {"keep_days": float("nan")}],
)
def test_wishes_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TmgcError):
        OutputSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_command_prints_only_changes(form: list[str], models: dict[str, Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 8 * 22_050), 22_050)
    command = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", str(tmp_path / "song.wav")]
    command += ["--model", str(models["tflite"]), "--hop", "2", "--changes", *form]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, summary = done.stdout.splitlines()  # noise of one colour from beginning to end
    if form:
        assert [json.loads(line)["type"] for line in (first, summary)] == ["window", "summary"]
    else:
        assert first.startswith("  0:00.0 -   0:02.0")
        assert "4 windows" in summary


@pytest.mark.parametrize("options", [["--json"], ["--plain"], ["--changes"]])
def test_a_file_whose_name_is_no_utf_8_is_heard(options: list[str], models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.wav"
    soundfile.write(tmp_path / "song.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 4 * 22_050), 22_050)
    (tmp_path / "song.wav").rename(path)
    command = [
        sys.executable,
        "-c",
        "from edge_runtime.cli.listen import main; main()",
        str(path),
        str(tmp_path / "no\udce9.wav"),
    ]
    command += ["--model", str(models["tflite"]), "--history", str(tmp_path / "h.sqlite"), *options]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2  # for the second, which is not there
    assert "Traceback" not in done.stderr.decode()
    assert "caf?.wav" in done.stdout.decode()
    with closing(read_history(tmp_path / "h.sqlite")) as connection:
        names = connection.execute("SELECT name FROM sources ORDER BY id").fetchall()
    assert [Path(name).name for (name,) in names] == ["caf?.wav", "no?.wav"]
