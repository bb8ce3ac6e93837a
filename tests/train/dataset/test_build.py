"""A folder of songs becomes a dataset: divided by song, with a reason for every skipped file."""

from __future__ import annotations

import csv
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from edge_runtime import Spectrogram, TmgcError
from tests.conftest import tone
from tests.train.dataset.conftest import SETTINGS, melody, write_songs, write_sound
from train.dataset import DatasetConfig
from train.dataset.build import magma, named_colormap, prepare
from train.dataset.dataset import read_dataset
from train.dataset.extract import Job
from train.run import SPLITS, Run


def test_every_clip_has_its_image_and_its_audio_with_a_margin(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    dataset, skipped = prepare(write_songs(tmp_path / "songs"), run, SETTINGS, workers=1)
    assert not skipped
    assert len(dataset.clips) == 2 * 5 * 2
    for clip in dataset.clips:
        sound = dataset.audio(clip)
        assert clip.lead_seconds == pytest.approx(min(0.5, clip.offset_seconds), abs=1e-4)
        assert len(sound) / 11_025 == pytest.approx(clip.lead_seconds + 2.5, abs=0.01)
        with Image.open(clip.image_path(run)) as image:
            assert image.size == (32, 32)
            colours = np.asarray(image.convert("RGB"))
        first = round(clip.lead_seconds * 11_025)
        expected = Spectrogram(SETTINGS.spectrogram, magma()).image(sound[first : first + 22_050])
        assert np.abs(colours.astype(int) - expected.astype(int)).max() <= 4, (
            "16-bit FLAC changes the index of a pixel by one at most"
        )


def test_a_dataset_is_read_back_as_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    dataset, _ = prepare(write_songs(tmp_path / "songs"), run, SETTINGS, workers=1)
    again = read_dataset(run)
    assert again.genres == dataset.genres == ("Caz", "Halk")
    assert again.spectrogram == dataset.spectrogram
    assert [clip.name for clip in again.clips] == [clip.name for clip in dataset.clips]
    np.testing.assert_array_equal(again.colormap, dataset.colormap)
    assert not again.demonstration


def test_no_song_is_in_two_splits(tmp_path: Path) -> None:
    dataset, _ = prepare(write_songs(tmp_path / "songs", songs=12), Run(tmp_path / "run"), SETTINGS, workers=2)
    songs = {split: {clip.song for clip in dataset.of(split)} for split in SPLITS}
    assert all(songs.values())
    assert not songs["train"] & songs["validation"]
    assert not songs["train"] & songs["test"]
    assert not songs["validation"] & songs["test"]
    assert len(songs["train"] | songs["validation"] | songs["test"]) == 24


def test_parts_of_one_song_stay_together(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=12)
    rows = [f"Halk/song {number}.wav,ballad {number // 4}" for number in range(12)]
    (songs / "groups.csv").write_text("\n".join(["path,group", *rows]), "utf-8")
    dataset, _ = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    splits = [{clip.split for clip in dataset.clips if clip.group == f"Halk/song {first}.wav"} for first in (0, 4, 10)]
    assert all(len(found) == 1 for found in splits)
    assert len({clip.song for clip in dataset.clips}) == 24, "each is still a song of its own"
    groups = {clip.song: clip.group for clip in read_dataset(dataset.run).clips}
    assert groups["Halk/song 7.wav"] == "Halk/song 4.wav"
    assert groups["Caz/song 7.wav"] == "Caz/song 7.wav", "a song alone is its own group"


def test_bad_songs_are_listed_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=12)
    (songs / "Caz" / "text.mp3").write_text("no music")
    (songs / "Caz" / "empty.wav").touch()
    soundfile.write(songs / "Caz" / "short.wav", tone(1.5, sample_rate=22_050), 22_050)
    soundfile.write(songs / "Halk" / "silent.wav", np.zeros(100_000), 22_050)
    run = Run(tmp_path / "run")
    dataset, skipped = prepare(songs, run, SETTINGS, workers=1)
    found = {Path(item.song).name for item in skipped}
    # Few songs come to validation and test, so that a bad one there may be replaced by no other.
    assert found == {"text.mp3", "empty.wav", "short.wav", "silent.wav"}
    assert len({clip.song for clip in dataset.clips}) == 24
    with run.skipped_csv.open(encoding="utf-8") as file:
        assert {Path(row["song"]).name for row in csv.DictReader(file)} == found


def test_turkish_names_and_nested_folders_are_kept(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=4, genres=("Özgün Müzik", "Şarkı"))
    nested = songs / "Şarkı" / "ışık" / "çöl"
    nested.mkdir(parents=True)
    soundfile.write(nested / "İğde ağacı.flac", tone(3.5, sample_rate=22_050), 22_050)
    dataset, skipped = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    assert not skipped
    assert dataset.genres == ("Özgün Müzik", "Şarkı")
    assert "Şarkı/ışık/çöl/İğde ağacı.flac" in {clip.song for clip in dataset.clips}


def test_tables_are_utf_8_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    folder, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    (folder / "Halk").rename(folder / os.fsdecode("Türkü".encode("cp857")))
    song = write_sound(folder / "Caz" / "song.flac", melody(7), artist="=1+1")
    song.rename(song.with_name(os.fsdecode("şarkı.flac".encode("cp1254"))))
    (folder / "=1+1.mp3").touch()
    dataset, _ = prepare(folder, run, SETTINGS, workers=1)
    assert {"Caz/şarkı.flac", "Türkü/song 0.wav"} < {clip.song for clip in dataset.clips}
    for path in (run.dataset_csv, run.skipped_csv, run.duplicates_csv):
        with path.open(encoding="utf-8", newline="") as file:
            assert not [cell for row in csv.reader(file) for cell in row if cell.startswith("=")]
    assert {clip.song for clip in read_dataset(run).clips} == {clip.song for clip in dataset.clips}


def test_songs_that_cannot_be_decoded_are_one_kind(tmp_path: Path, notices: Callable[[], list[str]]) -> None:
    folder = write_songs(tmp_path / "songs")
    for name in ("kırık", "bozuk"):
        (folder / "Caz" / f"{name}.mp3").write_bytes(b"no sound " * 500)
    prepare(folder, Run(tmp_path / "run"), SETTINGS, workers=1)
    (notice,) = [notice for notice in notices() if "left out" in notice]
    assert "2 an audio file must be one that can be decoded: this one is not" in notice


def test_a_folder_of_something_else_is_not_taken_for_a_run(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    with pytest.raises(TmgcError, match="must not be in the folder of songs"):
        prepare(songs, Run(songs / "run"), SETTINGS, workers=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(TmgcError, match="holds other files"):
        prepare(songs, Run(tmp_path / "other"), SETTINGS, workers=1)
    assert len(list(songs.rglob("*.wav"))) == 10


def test_songs_that_are_too_short_for_every_offset_are_refused_with_advice(tmp_path: Path) -> None:
    far = DatasetConfig(offsets_seconds=(60.0,), spectrogram=SETTINGS.spectrogram)
    with pytest.raises(TmgcError, match="--offsets"):
        prepare(write_songs(tmp_path / "songs"), Run(tmp_path / "run"), far, workers=1)


def test_a_group_of_a_song_that_is_not_there_is_refused(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    (songs / "groups.csv").write_text("path,group\nHalk/song 0.WAV,ballad\n", "utf-8-sig")
    with pytest.raises(TmgcError, match=r"there is no song Halk/song 0\.WAV"):
        prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)


def test_the_songs_of_an_artist_in_their_tags_are_in_one_split(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    for number in range(24):
        path = songs / ("Halk", "Caz")[number % 2] / f"{number}.flac"
        artist = f"{'ŞARKICI' if number % 3 else 'Şarkıcı'} {number // 4}" if number < 20 else ""
        write_sound(path, melody(number), artist=artist)
    run = Run(tmp_path / "run")
    dataset, _ = prepare(songs, run, SETTINGS, workers=1)
    assert read_dataset(run).clips[0].artist == dataset.clips[0].artist != ""
    splits: dict[str, set[str]] = {}
    for clip in dataset.clips:
        splits.setdefault(clip.artist.replace("ŞARKICI", "Şarkıcı"), set()).add(clip.split)
    nobody = splits.pop("")
    assert len(splits) == 5
    assert all(len(found) == 1 for found in splits.values()), "an artist of two genres as well"
    assert nobody <= set(SPLITS)
    for split in SPLITS:
        assert {clip.genre for clip in dataset.of(split)} == {"Halk", "Caz"}
    by_song, _ = prepare(songs, run, replace(SETTINGS, group_by="song", split_ratios=(0.5, 0.25, 0.25)), workers=1)
    assert len({clip.song for clip in by_song.of("train")}) == 12
    assert any(len({c.split for c in by_song.clips if c.artist == clip.artist}) > 1 for clip in by_song.clips)


@pytest.mark.parametrize("group_by", [None, "artist", "groups", "song"])
def test_groups_add_to_the_artists(tmp_path: Path, group_by: str | None) -> None:
    songs = tmp_path / "songs"
    for number in range(24):
        artist = f"singer {number // 4}" if number < 16 else ""
        write_sound(songs / ("Halk", "Caz")[number % 2] / f"{number}.flac", melody(number), artist=artist)
    (songs / "groups.csv").write_text("path,group\nHalk/0.flac,singer 3\nCaz/23.flac,singer 3\n", "utf-8")
    dataset, _ = prepare(songs, Run(tmp_path / "run"), replace(SETTINGS, group_by=group_by, seed=6), workers=1)
    split = {int(Path(clip.song).stem): clip.split for clip in dataset.clips}
    artists = [{split[4 * singer + song] for song in range(4)} for singer in range(4)]
    assert all(len(splits) == 1 for splits in artists) == (group_by in (None, "artist"))
    assert (split[0] == split[23]) == (group_by in (None, "groups"))


def test_the_same_audio_is_in_one_split_and_a_warning_names_it_under_two_genres(
    tmp_path: Path, notices: Callable[[], list[str]]
) -> None:
    songs, run = write_songs(tmp_path / "songs", songs=8), Run(tmp_path / "run")
    (songs / "Halk" / "copy.wav").write_bytes((songs / "Halk" / "song 1.wav").read_bytes())
    sound, _ = soundfile.read(songs / "Halk" / "song 2.wav", dtype="float32")
    write_sound(songs / "Caz" / "again.mp3", 0.4 * sound)
    dataset, _ = prepare(songs, run, SETTINGS, workers=1)
    split_of = {clip.song: clip.split for clip in dataset.clips}
    assert split_of["Halk/copy.wav"] == split_of["Halk/song 1.wav"]
    assert split_of["Caz/again.mp3"] == split_of["Halk/song 2.wav"]
    count, two_genres = notices()[-2:]
    assert "4 songs have the same audio as another" in count
    assert two_genres == "the same audio is under two genres: Caz/again.mp3, Halk/song 2.wav"
    with run.duplicates_csv.open(encoding="utf-8") as file:
        rows = [(row["song"], row["split"] == split_of[row["song"]], row["same"]) for row in csv.DictReader(file)]
    assert rows == [
        ("Caz/again.mp3", True, "same recording"),
        ("Halk/song 2.wav", True, "same recording"),
        ("Halk/copy.wav", True, "exact copy"),
        ("Halk/song 1.wav", True, "exact copy"),
    ]


def test_a_demonstration_corpus_holds_no_sound_twice(tmp_path: Path) -> None:
    from train.demo_corpus import write_demo_corpus

    write_demo_corpus(tmp_path / "songs", songs_per_genre=4, seconds=3.0, workers=1)
    run = Run(tmp_path / "run")
    prepare(tmp_path / "songs", run, replace(SETTINGS, offsets_seconds=(0.0,)), workers=1)
    assert run.duplicates_csv.read_text("utf-8").splitlines() == ["set,song,genre,split,same"]


def test_two_spellings_of_a_genre_and_its_groups_become_one(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Şarkı") for form in ("NFC", "NFD"))
    songs = write_songs(tmp_path / "songs", songs=4, genres=("Caz", composed))
    for number in range(3):
        write_sound(songs / decomposed / f"Türkü\n{number}.wav", melody(50 + number))
    rows = "".join(f'"{composed}/Türkü\n{number}.wav",ballad\n' for number in range(3))
    (songs / "groups.csv").write_text(f"path,group\n{rows}", "utf-8")
    dataset, skipped = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    assert not skipped
    assert dataset.genres == ("Caz", composed)
    assert len([clip for clip in dataset.clips if clip.genre == composed]) == 2 * 7
    (ballad,) = [group for group, count in Counter(clip.group for clip in dataset.clips).items() if count > 2]
    assert len({clip.split for clip in dataset.clips if clip.group == ballad}) == 1
    assert [clip.song for clip in read_dataset(dataset.run).clips] == [clip.song for clip in dataset.clips]
    for clip in dataset.clips:
        assert clip.image_path(dataset.run).is_file()
        assert (songs / clip.song).is_file()


def test_a_genre_with_too_few_songs_is_refused_by_name(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    for number in (2, 3, 4):
        (songs / "Caz" / f"song {number}.wav").unlink()
    with pytest.raises(TmgcError, match="Caz has 2"):
        prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)


def test_a_demonstration_corpus_is_marked_as_such(tmp_path: Path) -> None:
    from train.demo_corpus import MARKER

    songs = write_songs(tmp_path / "songs")
    (songs / MARKER).write_text("{}")
    dataset, _ = prepare(songs, Run(tmp_path / "run"), SETTINGS, workers=1)
    assert dataset.demonstration
    assert read_dataset(dataset.run).demonstration


@pytest.mark.parametrize("kind", ["file", "link to itself"])
def test_a_run_that_is_no_folder_is_refused(kind: str, tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs"), tmp_path / "run"
    if kind == "file":
        run.touch()
    else:
        run.symlink_to(run)
    with pytest.raises(TmgcError, match="a run is a folder"):
        prepare(songs, Run(run), SETTINGS, workers=1)


def test_there_are_no_more_processes_than_cores_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def recorded(function: Callable[..., object], jobs: list[Job], *, workers: int) -> Iterator[object]:
        asked.append(workers)
        yield from ((job, function(job)) for job in jobs)

    monkeypatch.setattr(sys.modules["train.dataset.build"], "work_through", recorded)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    prepare(write_songs(tmp_path / "songs"), Run(tmp_path / "run"), SETTINGS)
    assert asked == [1]


def test_a_colormap_that_has_no_such_name_is_refused() -> None:
    with pytest.raises(TmgcError, match="magma, gray, got 'viridis'"):
        named_colormap("viridis")
