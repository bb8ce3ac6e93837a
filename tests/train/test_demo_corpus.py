"""The demonstration corpus: the same songs from the same numbers, sound in every window, and scales that are right."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime.errors import TmgcError
from train.demo_corpus import DIFFICULTIES, GENRES, MARKER, SAMPLE_RATE, synthesize_song, write_demo_corpus
from train.demo_corpus.genres import RECIPES
from train.demo_corpus.instruments import KITS, MELODIC
from train.demo_corpus.theory import COMMAS_PER_OCTAVE, METRES, SCALES
from train.synthesis.dsp import Canvas, Notes, fast_length

MAKAMS = ("hicaz", "hüseyni", "uşşak", "rast", "segâh", "nihavent", "kürdi")
QUIETEST_WINDOW = 10 ** (-45 / 20)
"""Root mean square of full scale: the softest genre peaks some 10 dB below it, and music has a crest of 15 dB."""
WINDOW = 2 * SAMPLE_RATE


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "songs"
    assert write_demo_corpus(folder, songs_per_genre=2, seconds=2.0, seed=7, workers=2) == 20
    return folder


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("genre", GENRES)
def test_every_two_seconds_of_every_genre_hold_finite_sound(genre: str, difficulty: str) -> None:
    samples = synthesize_song(genre, song=3, seed=11, seconds=6.0, difficulty=difficulty)
    assert samples.shape == (6 * SAMPLE_RATE,)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    for start in range(0, len(samples) - WINDOW + 1, SAMPLE_RATE // 2):
        assert np.sqrt(np.mean(samples[start : start + WINDOW] ** 2)) > QUIETEST_WINDOW


def test_the_same_numbers_give_the_same_song() -> None:
    first, second = (synthesize_song("Caz", song=1, seed=5, seconds=2.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_songs_seeds_genres_and_difficulties_all_differ() -> None:
    songs = [
        synthesize_song("Rock", song=0, seconds=2.0),
        synthesize_song("Rock", song=1, seconds=2.0),
        synthesize_song("Rock", song=0, seed=1, seconds=2.0),
        synthesize_song("Punk", song=0, seconds=2.0),
        synthesize_song("Rock", song=0, seconds=2.0, difficulty="hard"),
    ]
    for number, one in enumerate(songs):
        for other in songs[number + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_a_song_may_have_a_length_of_any_number_of_samples() -> None:
    assert synthesize_song("Halk", song=0, seconds=2.34567).shape == (round(2.34567 * SAMPLE_RATE),)


def test_the_corpus_has_a_folder_a_genre_and_a_numbered_file_a_song(dataset: Path) -> None:
    expected = {f"{genre}/{genre.lower()}_{song:03d}.flac" for genre in GENRES for song in range(2)}
    assert set(_files(dataset)) == expected | {MARKER}


def test_the_songs_are_16_bit_mono_flac(dataset: Path) -> None:
    info = soundfile.info(dataset / "Klasik" / "klasik_001.flac")
    assert (info.format, info.subtype, info.channels) == ("FLAC", "PCM_16", 1)
    assert (info.samplerate, info.frames) == (SAMPLE_RATE, 2 * SAMPLE_RATE)


def test_the_marker_says_that_the_corpus_is_synthesised(dataset: Path) -> None:
    marker = json.loads((dataset / MARKER).read_text(encoding="utf-8"))
    note = marker.pop("note")
    assert note.startswith("synthesised music")
    assert "no claim about real Turkish music rests on it" in note
    assert marker == {"demonstration": True, "songs_per_genre": 2, "seconds": 2.0, "seed": 7, "difficulty": "easy"}


def test_one_worker_writes_the_same_bytes_as_two(dataset: Path, tmp_path: Path) -> None:
    write_demo_corpus(tmp_path, songs_per_genre=2, seconds=2.0, seed=7, workers=1)
    assert _files(tmp_path) == _files(dataset)


def test_a_shorter_corpus_is_the_beginning_of_a_longer_one(dataset: Path, tmp_path: Path) -> None:
    write_demo_corpus(tmp_path, songs_per_genre=1, seconds=2.0, seed=7, workers=1)
    longer = _files(dataset)
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


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"genre": "Opera"}, "genre of Arabesk"),
        ({"song": -1}, "numbered from 0"),
        ({"difficulty": "brutal"}, "difficulty must be one of"),
        ({"seconds": 1.0}, "at least 2 seconds"),
    ],
)
def test_what_no_song_can_be_made_from_is_refused(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(TmgcError, match=rule):
        synthesize_song(**{"genre": "Pop", "song": 0, **wrong})


@pytest.mark.parametrize("name", MAKAMS)
def test_the_commas_of_a_makam_add_up_to_the_octave(name: str) -> None:
    assert sum(SCALES[name].steps) == COMMAS_PER_OCTAVE == SCALES[name].divisions
    assert len(SCALES[name].steps) == 7


@pytest.mark.parametrize("name", sorted(SCALES))
def test_the_steps_of_every_scale_add_up_to_the_octave(name: str) -> None:
    assert sum(SCALES[name].steps) == SCALES[name].divisions


@pytest.mark.parametrize(
    ("name", "degree", "ratio"),
    [
        ("rast", 1, 9 / 8),
        ("rast", 2, 5 / 4),
        ("rast", 4, 3 / 2),
        ("hicaz", 1, 16 / 15),
        ("hicaz", 2, 5 / 4),
        ("hicaz", 3, 4 / 3),
        ("hüseyni", 2, 32 / 27),
        ("hüseyni", 4, 3 / 2),
        ("uşşak", 3, 4 / 3),
        ("uşşak", 6, 16 / 9),
        ("nihavent", 2, 32 / 27),
        ("segâh", 4, 3 / 2),
        ("kürdi", 1, 256 / 243),
    ],
)
def test_the_degrees_of_a_makam_lie_on_its_just_intervals(name: str, degree: int, ratio: float) -> None:
    heard = SCALES[name].hertz(np.array([degree]), tonic_hz=200.0)[0] / 200.0
    cents = 1200.0 * np.log2(heard / ratio)
    # 53 commas meet the Pythagorean and the just intervals within 1.5 cents.
    assert abs(cents) < 1.5


def test_a_scale_goes_on_above_and_below_its_octave() -> None:
    scale = SCALES["hicaz"]
    np.testing.assert_allclose(scale.hertz(np.array([-7, 0, 7, 14]), tonic_hz=220.0), [110.0, 220.0, 440.0, 880.0])
    hertz = scale.hertz(np.arange(-9, 16), tonic_hz=220.0)
    assert all(lower < higher for lower, higher in pairwise(hertz))


@pytest.mark.parametrize(
    ("name", "strokes"),
    [
        ("düyek", [0, 1, 3, 4, 6]),
        ("türk aksağı", [0, 2, 4]),
        ("aksak", [0, 2, 4, 6, 8]),
        ("curcuna", [0, 2, 3, 5, 7, 9]),
    ],
)
def test_an_usul_has_its_strokes_on_its_beats(name: str, strokes: list[int]) -> None:
    metre = METRES[name]
    assert np.flatnonzero(metre.loudness("low") + metre.loudness("high")).tolist() == strokes


@pytest.mark.parametrize("name", sorted(METRES))
def test_the_rows_of_a_metre_are_equally_long(name: str) -> None:
    metre = METRES[name]
    assert len(metre.low) == len(metre.high) == len(metre.light) == metre.steps


def test_every_recipe_names_scales_metres_and_instruments_that_exist() -> None:
    assert tuple(RECIPES) == GENRES
    for genre, recipe in RECIPES.items():
        assert RECIPES[recipe.neighbour].neighbour == genre
        assert set(recipe.scales) <= set(SCALES)
        assert set(recipe.metres) <= set(METRES)
        for layer in recipe.layers:
            assert layer.instrument in (KITS if layer.style == "strokes" else MELODIC)


@pytest.mark.parametrize("name", ["bağlama", "ney", "strings", "kanun"])
def test_an_instrument_plays_the_pitch_that_is_written(name: str) -> None:
    hz, seconds = 440.0, 1.0
    note = Notes(np.zeros(1), np.array([seconds]), np.array([[np.log2(hz)]]), np.ones(1))
    track = MELODIC[name].render(note, Canvas(SAMPLE_RATE), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(track * np.hanning(len(track))))
    heard = 400 + int(np.argmax(spectrum[400:480]))
    # One bin is 1 Hz; a player may be out of tune by some 20 cents, and the vibrato spreads the line.
    assert abs(heard - hz) <= 8


def test_the_transform_length_has_only_small_factors() -> None:
    assert [fast_length(count) for count in (2, 7, 11, 101, 88_201)] == [2, 8, 12, 108, 90_000]
