"""Songs become clips: split by song, cut where they were asked for, and never silently lost."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from edge_runtime import ModelCard, Spectrogram, SpectrogramSettings, TmgcError, read_audio
from tests.conftest import tone
from train.corpus import read_corpus
from train.preparing import PrepareSettings
from train.preparing.prepare import magma, prepare
from train.preparing.songs import find_songs
from train.run import SPLITS, Run

SETTINGS = PrepareSettings(
    offsets_seconds=(0.0, 1.0), spectrogram=SpectrogramSettings(sample_rate=11_025, image_height=32, image_width=32)
)


def write_songs(
    folder: Path, *, songs: int = 5, genres: tuple[str, ...] = ("Halk", "Caz"), seconds: float = 3.5
) -> Path:
    for number, genre in enumerate(genres):
        (folder / genre).mkdir(parents=True)
        for song in range(songs):
            sound = tone(seconds, sample_rate=22_050, hz=200 * (number + 1) + song)
            soundfile.write(folder / genre / f"song {song}.wav", sound, 22_050)
    return folder


def test_every_clip_has_its_picture_and_its_sound_with_a_margin(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    corpus, skipped = prepare(write_songs(tmp_path / "songs"), run, SETTINGS, workers=1)
    assert not skipped
    assert len(corpus.clips) == 2 * 5 * 2
    for clip in corpus.clips:
        sound = read_audio(clip.sound(run), sample_rate=11_025)
        assert clip.lead_seconds == pytest.approx(min(0.5, clip.offset_seconds), abs=1e-4)
        assert len(sound) / 11_025 == pytest.approx(clip.lead_seconds + 2.5, abs=0.01)
        with Image.open(clip.picture(run)) as picture:
            assert picture.size == (32, 32)
            colours = np.asarray(picture.convert("RGB"))
        first = round(clip.lead_seconds * 11_025)
        expected = Spectrogram(SETTINGS.spectrogram, magma()).image(sound[first : first + 22_050])
        assert np.abs(colours.astype(int) - expected.astype(int)).max() <= 4, "16-bit FLAC moves a grey level at most"


def test_a_prepared_corpus_is_read_back_as_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    corpus, _ = prepare(write_songs(tmp_path / "songs"), run, SETTINGS, workers=1)
    again = read_corpus(run)
    assert again.genres == corpus.genres == ("Caz", "Halk")
    assert again.spectrogram == corpus.spectrogram
    assert [clip.name for clip in again.clips] == [clip.name for clip in corpus.clips]
    np.testing.assert_array_equal(again.palette, corpus.palette)
    assert not again.demonstration


def test_no_song_is_on_two_sides_of_the_split(tmp_path: Path) -> None:
    corpus, _ = prepare(write_songs(tmp_path / "songs", songs=12), Run(tmp_path / "run"), SETTINGS, workers=2)
    songs = {split: {clip.song for clip in corpus.of(split)} for split in SPLITS}
    assert all(songs.values())
    assert not songs["train"] & songs["validation"]
    assert not songs["train"] & songs["test"]
    assert not songs["validation"] & songs["test"]
    assert len(songs["train"] | songs["validation"] | songs["test"]) == 24


def test_parts_of_one_song_stay_together(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=12)
    rows = [f"Halk/song {number}.wav,ballad {number // 4}" for number in range(12)]
    (songs / "groups.csv").write_text("\n".join(["path,group", *rows]), "utf-8")
    corpus, _ = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    splits = {
        name: {clip.split for clip in corpus.clips if clip.song == name}
        for name in ("ballad 0", "ballad 1", "ballad 2")
    }
    assert all(len(found) == 1 for found in splits.values())


def test_bad_songs_are_listed_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=12)
    (songs / "Caz" / "text.mp3").write_text("no music")
    (songs / "Caz" / "empty.wav").touch()
    soundfile.write(songs / "Caz" / "short.wav", tone(1.5, sample_rate=22_050), 22_050)
    soundfile.write(songs / "Halk" / "silent.wav", np.zeros(100_000), 22_050)
    (songs / "Halk" / ".hidden.wav").touch()
    run = Run(tmp_path / "run")
    corpus, skipped = prepare(songs, run, SETTINGS, workers=1)
    found = {Path(item.song).name for item in skipped}
    # Few songs come to validation and test, so that a bad one there may be replaced by no other.
    assert found == {"text.mp3", "empty.wav", "short.wav", "silent.wav"}
    assert len({clip.song for clip in corpus.clips}) == 24
    with run.skipped_csv.open(encoding="utf-8") as file:
        assert {Path(row["song"]).name for row in csv.DictReader(file)} == found


def test_turkish_names_and_nested_folders_are_kept(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=4, genres=("Özgün Müzik", "Şarkı"))
    nested = songs / "Şarkı" / "ışık" / "çöl"
    nested.mkdir(parents=True)
    soundfile.write(nested / "İğde ağacı.flac", tone(3.5, sample_rate=22_050), 22_050)
    corpus, skipped = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    assert not skipped
    assert corpus.genres == ("Özgün Müzik", "Şarkı")
    assert "Şarkı/ışık/çöl/İğde ağacı.flac" in {clip.song for clip in corpus.clips}


def test_a_run_can_be_prepared_again_and_holds_only_the_new_clips(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    prepare(songs, run, SETTINGS, workers=1)
    once = PrepareSettings(offsets_seconds=(0.0,), spectrogram=SETTINGS.spectrogram)
    corpus, _ = prepare(songs, run, once, workers=1)
    assert len(list(run.images.rglob("*.png"))) == len(list(run.clips.iterdir())) == len(corpus.clips) == 10


def test_a_folder_of_something_else_is_not_taken_for_a_run(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    with pytest.raises(TmgcError, match="must not stand among the songs"):
        prepare(songs, Run(songs / "run"), SETTINGS, workers=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(TmgcError, match="holds other files"):
        prepare(songs, Run(tmp_path / "other"), SETTINGS, workers=1)
    assert len(list(songs.rglob("*.wav"))) == 10


def test_songs_that_fit_no_offset_leave_a_split_empty_and_that_is_said(tmp_path: Path) -> None:
    far = PrepareSettings(offsets_seconds=(60.0,), spectrogram=SETTINGS.spectrogram)
    with pytest.raises(TmgcError, match="--offsets"):
        prepare(write_songs(tmp_path / "songs"), Run(tmp_path / "run"), far, workers=1)


@pytest.mark.parametrize(
    ("songs", "genres", "said"), [(0, ("Halk", "Caz"), "found 0 songs"), (5, ("Halk",), "1 genre")]
)
def test_an_empty_corpus_is_refused(tmp_path: Path, songs: int, genres: tuple[str, ...], said: str) -> None:
    with pytest.raises(TmgcError, match=said):
        find_songs(write_songs(tmp_path / "songs", songs=songs, genres=genres))


def test_a_preparation_that_failed_can_be_done_again(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    far = replace(SETTINGS, offsets_seconds=(60.0,))
    with pytest.raises(TmgcError):
        prepare(songs, run, far, workers=1)
    corpus, _ = prepare(songs, run, SETTINGS, workers=1)
    assert len(corpus.clips) == 20


def test_a_group_of_a_song_that_is_not_there_is_refused(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    (songs / "groups.csv").write_text("path,group\nHalk/song 0.WAV,ballad\n", "utf-8-sig")
    with pytest.raises(TmgcError, match=r"there is no song Halk/song 0\.WAV"):
        prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)


def test_a_model_is_not_judged_on_another_split_than_its_own(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs", songs=12), Run(tmp_path / "run")
    corpus, _ = prepare(songs, run, SETTINGS, workers=1)
    triples = tuple((int(red), int(green), int(blue)) for red, green, blue in corpus.palette)
    trained_on = {"corpus_sha256": corpus.fingerprint()}
    card = ModelCard("run", corpus.genres, corpus.spectrogram, triples, training=trained_on)
    corpus.check_trained(card)
    again, _ = prepare(songs, run, replace(SETTINGS, seed=1), workers=1)
    with pytest.raises(TmgcError, match="prepared anew since"):
        again.check_trained(card)


def test_a_genre_with_too_few_songs_is_refused_by_name(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    for number in (2, 3, 4):
        (songs / "Caz" / f"song {number}.wav").unlink()
    with pytest.raises(TmgcError, match="Caz has 2"):
        prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)


def test_the_demonstration_corpus_is_known_for_what_it_is(tmp_path: Path) -> None:
    from train.demo_corpus import MARKER

    songs = write_songs(tmp_path / "songs")
    (songs / MARKER).write_text("{}")
    corpus, _ = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    assert corpus.demonstration
    assert read_corpus(corpus.run).demonstration
