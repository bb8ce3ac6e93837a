"""Every odd file is heard to its end, or a line says what was not heard: alone, by tmgc-listen and by prepare."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import read_audio
from edge_runtime.files import to_utf8
from edge_runtime.models import SMALL_MODEL
from tests.odd_files.corpus import ODD_FILES, Corpus
from tests.odd_files.encoders import MissingTool
from tests.odd_files.hearing import RATE, RAW_WORDS, faults, hear, hear_standard_input
from tests.odd_files.ladder import heard
from tests.odd_files.no_audio import SECRET, SPECIAL_FILES
from tests.odd_files.odd_file import OddFile, accounted
from train.dataset.discover import NOT_AUDIO

SONGS = (
    ".mp3",
    ".wav",
    ".flac",
    ".ogg",
    ".opus",
    ".aif",
    ".aiff",
    ".m4a",
    ".aac",
    ".wma",
    ".oga",
    ".webm",
    ".wv",
    ".mka",
    ".mp4",
)
"""Names under which songs must be found in a folder."""

EVERY = 8
SAMPLE = ODD_FILES[::EVERY]
"""Some of every kind."""

PIPED = [file for file in ODD_FILES if file not in SPECIAL_FILES and not file.outcome.warned]
"""Without those that are cut short: where a pipe ends, only some formats tell whether it is the end."""

LISTEN = (sys.executable, "-c", "from edge_runtime.cli.listen import main; main()")
TRAIN = (sys.executable, "-c", "from train.cli import main; main()")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """All odd files. Do not write into the folder."""
    return Corpus(tmp_path_factory.mktemp("odd"))


def named(file: OddFile) -> str:
    """The name as an identifier of a test."""
    return ascii(file.name)[1:-1][:60]


def path_of(file: OddFile, corpus: Corpus) -> Path:
    """Of a file of the corpus; the test is skipped where it cannot be made."""
    try:
        return corpus.path(file)
    except MissingTool as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=named(file), marks=[] if number % EVERY == 0 else pytest.mark.full)
        for number, file in enumerate(ODD_FILES)
    ],
)
def test_a_file_is_heard_or_refused_as_its_content_deserves(file: OddFile, corpus: Corpus) -> None:
    assert not list(faults(hear(path_of(file, corpus)), file.outcome))


@pytest.mark.full
@pytest.mark.parametrize("file", ODD_FILES, ids=named)
def test_without_ffmpeg_a_file_is_heard_as_far_as_possible_and_the_rest_is_told(
    file: OddFile, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = path_of(file, corpus)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not list(faults(hear(path), file.without_ffmpeg))


@pytest.mark.full
@pytest.mark.parametrize("file", PIPED, ids=named)
def test_a_file_from_a_pipe_is_heard_or_refused_or_a_word_says_what_is_missing(file: OddFile, corpus: Corpus) -> None:
    right = accounted(file.outcome.at_most)
    assert not list(faults(hear_standard_input(path_of(file, corpus)), right))


@pytest.mark.full
@pytest.mark.parametrize("file", [file for file in ODD_FILES if file.outcome.at_least >= 6], ids=named)
def test_a_stretch_of_a_file_is_what_sounds_at_that_time(file: OddFile, corpus: Corpus) -> None:
    last = file.outcome.at_least
    stretch = read_audio(path_of(file, corpus), sample_rate=RATE, start_seconds=last - 3.5, seconds=2.5)
    assert heard(stretch, RATE) == [last - 4, last - 3, last - 2]
    assert len(stretch) / RATE == pytest.approx(2.5, abs=0.15)


def listened(folder: Path, files: Sequence[OddFile]) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, the JSON lines and standard error of one ``tmgc-listen`` for all files."""
    names = [name if (name := file.name) != "-" else "./-" for file in files]
    command = [*LISTEN, "--json", "--hop", "2", "--model", str(SMALL_MODEL), "--", *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=1500)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return done.returncode, lines, done.stderr.decode("utf-8", "replace")


def check_listened(files: Sequence[OddFile], code: int, lines: Sequence[dict[str, Any]], errors: str) -> None:
    """Every file has windows, a summary or a refusal; standard error is readable."""
    assert "Traceback" not in errors
    assert code == 2, errors
    sources = {line["source"].removeprefix("./") for line in lines if "source" in line}
    assert {to_utf8(file.name) for file in files} <= sources
    refused = {line["source"].removeprefix("./") for line in lines if line.get("event") == "file refused"}
    for file in files:
        if file.outcome.refused or (file.outcome.seconds or file.outcome.at_least) >= 2:
            assert (to_utf8(file.name) in refused) == file.outcome.refused, file.name
    for line in errors.splitlines():
        assert line.isprintable(), ascii(line)
        assert not RAW_WORDS.search(line), line


def test_tmgc_listen_accounts_for_some_files_of_every_kind(corpus: Corpus) -> None:
    files = corpus.made(SAMPLE)
    check_listened(files, *listened(corpus.folder, files))


@pytest.mark.full
def test_tmgc_listen_accounts_for_every_file(corpus: Corpus) -> None:
    files = corpus.made(ODD_FILES)
    check_listened(files, *listened(corpus.folder, files))


def prepared(songs: Path, run: Path) -> str:
    """Standard error of ``tmgc-train prepare``, which succeeds."""
    options = ("--offsets", "0,2", "--image-size", "32", "--sample-rate", "22050")
    command = [*TRAIN, "prepare", str(songs), str(run), *options]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=1500)
    errors = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, errors
    assert not done.stdout
    return errors


def plain_songs(folder: Path, seed: int) -> None:
    """Ten songs that differ, so that a genre can be divided."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(10):
        notes = np.repeat(random.uniform(200, 2_000, 20), 2_205)
        sound = 0.3 * np.sin(2 * np.pi * np.cumsum(notes) / 11_025) + 0.01 * random.standard_normal(len(notes))
        soundfile.write(folder / f"plain {number}.wav", sound, 11_025)


def rows(path: Path) -> list[dict[str, str]]:
    """Of a CSV file."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def every_file(folder: Path) -> Iterator[Path]:
    """Every path that is not a folder, and links to folders."""
    for inside, folders, files in os.walk(folder):
        yield from (Path(inside, name) for name in files)
        yield from (path for name in folders if (path := Path(inside, name)).is_symlink())


def check_prepared(songs: Path, run: Path, files: Sequence[OddFile]) -> None:
    """Every file is used or skipped with a reason, and what is whole is used."""
    used = {row["song"] for row in rows(run / "dataset.csv")}
    reasons = {row["song"]: row["reason"] for row in rows(run / "skipped.csv")}
    assert len(used | set(reasons)) == sum(1 for _ in every_file(songs))
    for reason in reasons.values():
        assert reason
        assert reason.isprintable(), ascii(reason)
        assert not RAW_WORDS.search(reason), reason
    for file in files:
        song = f"Odd/{file.name}"
        if file.outcome.seconds and file.outcome.seconds >= 4 and song in reasons and song not in used:
            unusual = Path(file.name).suffix.lower() not in SONGS or file.name.startswith(".")
            assert unusual, (song, reasons[song])
            assert reasons[song] in (NOT_AUDIO, "hidden"), song
        if file.outcome.refused:
            assert song not in used


def link_songs(corpus: Corpus, files: Sequence[OddFile], folder: Path) -> None:
    """Put files of the corpus into a folder of their own, under the same names."""
    (folder / SECRET).parent.mkdir(parents=True)
    os.link(corpus.folder / SECRET, folder / SECRET)
    for file in files:
        source = corpus.folder / file.name
        if source.is_symlink():
            (folder / file.name).symlink_to(source.readlink())
        elif source.is_dir():
            (folder / file.name).mkdir()
        else:
            os.link(source, folder / file.name)


def prepare_and_check(corpus: Corpus, files: Sequence[OddFile], folder: Path) -> tuple[Path, Path]:
    """Prepare odd files beside plain songs, and account for each; returns the folder of songs and the run."""
    songs, run = folder / "songs", folder / "run"
    link_songs(corpus, files, songs / "Odd")
    plain_songs(songs / "Odd" / "plain", 1)
    plain_songs(songs / "Caz", 2)
    prepared(songs, run)
    check_prepared(songs, run, files)
    return songs, run


def test_prepare_accounts_for_some_files_of_every_kind(corpus: Corpus, tmp_path: Path) -> None:
    prepare_and_check(corpus, corpus.made(SAMPLE), tmp_path)


@pytest.mark.full
def test_prepare_accounts_for_every_file_and_changes_nothing_the_second_time(corpus: Corpus, tmp_path: Path) -> None:
    songs, run = prepare_and_check(corpus, corpus.made(ODD_FILES), tmp_path)
    before = {path.name: path.read_bytes() for path in run.glob("*.csv")}
    assert "nothing changed" in prepared(songs, run)
    assert before == {path.name: path.read_bytes() for path in run.glob("*.csv")}
