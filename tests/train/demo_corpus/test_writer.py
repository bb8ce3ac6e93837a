"""The demonstration corpus is written whole, the same files for the same arguments, and never over other files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge_runtime.errors import TmgcError
from train.demo_corpus import GENRES, MARKER, SAMPLE_RATE, write_demo_corpus


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "songs"
    assert write_demo_corpus(folder, songs_per_genre=2, seconds=2.0, seed=7, workers=2) == 20
    return folder


def test_the_corpus_has_a_folder_a_genre_and_a_numbered_file_a_song(corpus: Path) -> None:
    expected = {f"{genre}/{genre.lower()}_{song:03d}.flac" for genre in GENRES for song in range(2)}
    assert set(_files(corpus)) == expected | {MARKER}


def test_the_songs_are_16_bit_mono_flac(corpus: Path) -> None:
    info = soundfile.info(corpus / "Klasik" / "klasik_001.flac")
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    assert (info.samplerate, info.frames) == (SAMPLE_RATE, 2 * SAMPLE_RATE)


def test_the_marker_says_that_the_corpus_is_synthesised(corpus: Path) -> None:
    marker = json.loads((corpus / MARKER).read_text(encoding="utf-8"))
    note = marker.pop("note")
    assert note.startswith("synthesised music")
    assert "say nothing about real Turkish music" in note
    assert marker == {"demonstration": True, "songs_per_genre": 2, "seconds": 2.0, "seed": 7, "difficulty": "easy"}


def test_one_worker_writes_the_same_bytes_as_two(corpus: Path, tmp_path: Path) -> None:
    write_demo_corpus(tmp_path, songs_per_genre=2, seconds=2.0, seed=7, workers=1)
    assert _files(tmp_path) == _files(corpus)


def test_a_shorter_corpus_is_the_beginning_of_a_longer_one(corpus: Path, tmp_path: Path) -> None:
    write_demo_corpus(tmp_path, songs_per_genre=1, seconds=2.0, seed=7, workers=1)
    longer = _files(corpus)
    songs = {name: content for name, content in _files(tmp_path).items() if name != MARKER}
    assert len(songs) == len(GENRES)
    assert all(longer[name] == content for name, content in songs.items())


def test_each_finished_file_is_reported_once_and_after_the_marker(tmp_path: Path) -> None:
    reported: list[Path] = []

    def on_song(path: Path) -> None:
        assert (tmp_path / MARKER).is_file()
        assert path.is_file()
        reported.append(path)

    write_demo_corpus(tmp_path, songs_per_genre=1, seconds=2.0, workers=1, on_song=on_song)
    assert sorted(reported) == sorted(tmp_path.glob("*/*.flac"))


def test_a_demonstration_corpus_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    write_demo_corpus(tmp_path, songs_per_genre=2, seconds=2.0, workers=1)
    foreign = tmp_path / "Halk" / "halk_live.flac"
    foreign.write_bytes(b"mine")
    write_demo_corpus(tmp_path, songs_per_genre=1, seconds=2.0, seed=1, workers=1)
    assert foreign.read_bytes() == b"mine"
    assert len(list(tmp_path.glob("*/*.flac"))) == len(GENRES) + 1


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp3").write_bytes(b"sea")
    with pytest.raises(TmgcError, match=MARKER):
        write_demo_corpus(tmp_path, songs_per_genre=1, seconds=2.0, workers=1)
    assert _files(tmp_path) == {"holiday.mp3": b"sea"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "songs").write_bytes(b"")
    with pytest.raises(TmgcError, match="is a file"):
        write_demo_corpus(tmp_path / "songs", songs_per_genre=1, seconds=2.0, workers=1)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"difficulty": "brutal"}, "difficulty must be one of easy, medium, hard"),
        ({"seconds": 1.99}, "at least 2 seconds"),
        ({"seconds": float("nan")}, "at least 2 seconds"),
        ({"seconds": float("inf")}, "at least 2 seconds"),
        ({"songs_per_genre": 0}, "at least 1 song a genre"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"workers": 0}, "workers must be 1 or more"),
    ],
)
def test_what_no_corpus_can_be_made_from_is_refused_in_one_line(
    wrong: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    with pytest.raises(TmgcError, match=rule) as refusal:
        write_demo_corpus(tmp_path / "songs", **wrong)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "songs").exists()
