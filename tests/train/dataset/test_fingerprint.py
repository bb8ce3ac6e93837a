"""A recording is known again at another level, format and bit rate, and is not mistaken for another."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import read_audio
from edge_runtime.audio import Samples
from tests.train.dataset.conftest import write_sound
from train.dataset.fingerprint import Fingerprint, fingerprint, same_recordings
from train.demo_corpus import SAMPLE_RATE, synthesize_song

SECONDS = 3.0

ENCODINGS: dict[str, dict[str, Any]] = {
    "mp3 at 64 kbit/s": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.9},
    "mp3 at its best": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.0},
    "ogg": {"format": "OGG", "compression_level": 0.8},
    "flac": {"format": "FLAC"},
}


def excerpt(sound: Samples, *, sample_rate: int = SAMPLE_RATE) -> Fingerprint:
    return fingerprint(sound[: round(SECONDS * sample_rate)], sample_rate=sample_rate)


def song(genre: str, number: int) -> Samples:
    return synthesize_song(genre, song=number, seed=0, seconds=SECONDS + 0.5)


@pytest.mark.parametrize("level", [1.0, 0.1])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_song_that_is_encoded_anew_is_the_same(tmp_path: Path, encoding: str, level: float) -> None:
    songs = [song("Halk", number) for number in range(4)]
    again = [
        read_audio(
            write_sound(tmp_path / f"{number}.x", level * sound, sample_rate=SAMPLE_RATE, **ENCODINGS[encoding]),
            sample_rate=22_050,
        )
        for number, sound in enumerate(songs)
    ]
    prints = [[excerpt(sound)] for sound in songs] + [[excerpt(sound, sample_rate=22_050)] for sound in again]
    assert same_recordings(prints) == [(number, number + 4) for number in range(4)]


def test_a_recording_that_begins_a_little_later_is_the_same() -> None:
    sound = song("Klasik", 0)
    later = np.concatenate([np.zeros(round(0.2 * SAMPLE_RATE), np.float32), sound])
    assert same_recordings([[excerpt(sound)], [excerpt(later)]]) == [(0, 1)]


@pytest.mark.parametrize("genre", ["Elektronik", "Arabesk", "Punk"])
def test_different_songs_of_a_genre_are_different(genre: str) -> None:
    assert same_recordings([[excerpt(song(genre, number))] for number in range(20)]) == []


def test_one_stretch_in_common_does_not_make_songs_the_same() -> None:
    sample, *others = [excerpt(song("Rap", number)) for number in range(7)]
    assert same_recordings([[sample, *others[:3]], [*others[3:], sample]]) == []
    assert same_recordings([[sample, *others[:3]], [sample, others[0], *others[4:]]]) == [(0, 1)]


def test_songs_with_four_stretches_in_common_are_the_same_however_many_others_they_have() -> None:
    prints = [excerpt(song("Rock", number)) for number in range(20)]
    assert same_recordings([[*prints[:4], *prints[4:12]], [*prints[:4], *prints[12:]]]) == [(0, 1)]
    assert same_recordings([[*prints[:3], *prints[3:12]], [*prints[:3], *prints[12:]]]) == []


def test_steady_and_short_sounds_tell_nothing() -> None:
    silence, short = np.zeros(3 * SAMPLE_RATE, np.float32), np.ones(100, np.float32)
    assert len(fingerprint(short, sample_rate=SAMPLE_RATE)) == 0
    assert (
        same_recordings([[excerpt(silence)], [excerpt(silence)], [fingerprint(short, sample_rate=SAMPLE_RATE)]]) == []
    )
    assert same_recordings([]) == []


def test_real_recordings_are_known_again_and_never_mistaken(recordings: list[Path], tmp_path: Path) -> None:
    sounds = [read_audio(path, sample_rate=44_100, start_seconds=1.0, seconds=SECONDS) for path in recordings]
    prints = [[excerpt(sound, sample_rate=44_100)] for sound in sounds]
    for number, sound in enumerate(sounds):
        path = write_sound(tmp_path / f"{number}.mp3", 0.3 * sound, sample_rate=44_100, **ENCODINGS["mp3 at 64 kbit/s"])
        prints.append([excerpt(soundfile.read(path, dtype="float32")[0], sample_rate=44_100)])
    count = len(recordings)
    assert same_recordings(prints) == [(number, number + count) for number in range(count)]


def test_no_two_clips_of_real_music_are_taken_for_one(labelled_music: Path) -> None:
    with (labelled_music / "groups.csv").open(encoding="utf-8") as file:
        paths = [labelled_music / row["path"] for row in csv.DictReader(file)]
    prints = [[fingerprint(read_audio(path, sample_rate=22_050, seconds=2.5), sample_rate=22_050)] for path in paths]
    assert len(prints) > 400
    assert same_recordings(prints) == []
