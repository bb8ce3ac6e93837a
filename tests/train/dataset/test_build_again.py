"""A run that is prepared again is brought up to date and repaired, and a failure leaves it as it was."""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import ModelCard, TmgcError
from tests.train.dataset.conftest import SETTINGS, contents, melody, write_songs, write_sound
from train.dataset import DatasetConfig, Skipped
from train.dataset.build import prepare
from train.dataset.dataset import Dataset, read_dataset
from train.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of ``songs`` and of their ``run``."""
    songs = write_songs(tmp_path / "songs", songs=3)
    (songs / "Caz" / os.fsdecode(b"\xfe.txt")).touch()
    write_sound(songs / "Caz" / "short.wav", melody(9, seconds=1.0))
    prepared(tmp_path)
    return tmp_path


def prepared(folder: Path, settings: DatasetConfig = SETTINGS) -> tuple[Dataset, list[Skipped]]:
    return prepare(folder / "songs", Run(folder / "run"), settings, workers=1)


def test_the_same_command_again_leaves_the_run_as_it_was(folder: Path, notices: Callable[[], list[str]]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*")}
    dataset, skipped = prepared(folder)
    assert notices()[-1] == "nothing changed: the dataset of 12 clips is up to date"
    assert {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*")} == before
    assert len(dataset.clips) == 12
    assert {Path(item.song).name for item in skipped} == {"ş.txt", "short.wav"}


def test_a_run_can_be_prepared_again_and_holds_only_the_new_clips(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    prepare(songs, run, SETTINGS, workers=1)
    once = DatasetConfig(offsets_seconds=(0.0,), spectrogram=SETTINGS.spectrogram)
    dataset, _ = prepare(songs, run, once, workers=1)
    assert len(list(run.images.iterdir())) == len(list(run.clips.glob("*.flac"))) == len(dataset.clips) == 10
    assert len(list(run.clips.iterdir())) == 20, "a JSON file for each song"


CHANGES: dict[str, Callable[[Path, Dataset], object]] = {
    "a song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "song 1.wav", melody(50)),
    "a new song": lambda folder, _: write_sound(folder / "songs" / "Caz" / "new.wav", melody(51)),
    "a removed song": lambda folder, _: (folder / "songs" / "Caz" / "short.wav").unlink(),
    "a skipped file": lambda folder, _: (folder / "songs" / "Caz" / "cover.jpg").touch(),
    "where the songs come from": lambda folder, _: (folder / "songs" / "demo_corpus.json").touch(),
    "a damaged list": lambda _, dataset: dataset.run.dataset_csv.write_text("clip"),
    "a lost list": lambda _, dataset: dataset.run.dataset_csv.unlink(),
    "damaged settings": lambda _, dataset: dataset.run.dataset_json.write_text("[]"),
    "a lost report": lambda _, dataset: dataset.run.skipped_csv.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_brought_up_to_date(folder: Path, change: str, notices: Callable[[], list[str]]) -> None:
    dataset, _ = prepared(folder)
    notices()
    CHANGES[change](folder, dataset)
    dataset, skipped = prepared(folder)
    assert not any("nothing changed" in notice for notice in notices())
    assert len(dataset.index_images(dataset.clips)) == len(dataset.clips) >= 12
    for clip in dataset.clips:
        dataset.audio(clip)
    again = read_dataset(dataset.run)
    assert (again.fingerprint(), again.genres) == (dataset.fingerprint(), ("Caz", "Halk"))
    with dataset.run.skipped_csv.open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(skipped)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Dataset], object]] = {
    "a damaged clip": lambda dataset: dataset.clips[3].audio_path(dataset.run).write_bytes(b"no sound"),
    "audio of the same size that is only zeros": lambda dataset: zero(dataset.clips[3].audio_path(dataset.run)),
    "an image of the same size that is only zeros": lambda dataset: zero(dataset.clips[3].image_path(dataset.run)),
    "a lost image": lambda dataset: dataset.clips[3].image_path(dataset.run).unlink(),
    "a damaged JSON file": lambda dataset: next(dataset.run.clips.glob("*.json")).write_text("[]"),
    "a folder that is gone": lambda dataset: shutil.rmtree(dataset.run.images),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_repaired(folder: Path, damage: str) -> None:
    dataset, _ = prepared(folder)
    before = contents(dataset.run)
    DAMAGES[damage](dataset)
    prepared(folder)
    assert contents(dataset.run) == before


def test_another_split_changes_no_file_of_a_clip(folder: Path) -> None:
    run = Run(folder / "run")
    before, fingerprint = contents(run), read_dataset(run).fingerprint()
    dataset, _ = prepared(folder, replace(SETTINGS, seed=1))
    after = contents(run)
    assert {name for name in before if before[name] != after[name]} == {"dataset.csv"}
    assert before.keys() == after.keys()
    assert dataset.fingerprint() != fingerprint


def test_a_model_is_not_evaluated_on_another_split_than_its_own(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs", songs=12), Run(tmp_path / "run")
    dataset, _ = prepare(songs, run, SETTINGS, workers=1)
    triples = tuple((int(red), int(green), int(blue)) for red, green, blue in dataset.colormap)
    trained_on = {"dataset_sha256": dataset.fingerprint()}
    card = ModelCard("run", dataset.genres, dataset.spectrogram, triples, training=trained_on)
    dataset.check_trained(card)
    again, _ = prepare(songs, run, replace(SETTINGS, seed=1), workers=1)
    with pytest.raises(TmgcError, match="prepared anew since"):
        again.check_trained(card)


def test_a_song_that_was_only_touched_is_extracted_anew_but_the_model_stays_valid(folder: Path) -> None:
    before, _ = prepared(folder)
    os.utime(folder / "songs" / "Caz" / "song 1.wav", ns=(0, 1))
    after, _ = prepared(folder)
    assert [clip.source for clip in after.clips] == [clip.source for clip in before.clips]
    assert {clip.name for clip in after.clips} != {clip.name for clip in before.clips}
    assert after.fingerprint() == before.fingerprint()


def test_files_that_the_build_did_not_write_are_never_removed(folder: Path) -> None:
    run = Run(folder / "run")
    mine = [run.clips / "mine.flac", run.images / "holiday_60s.png", run.folder / "model.keras"]
    for path in mine:
        path.touch()
    prepared(folder, replace(SETTINGS, offsets_seconds=(0.5,)))
    assert all(path.is_file() for path in mine)


def test_a_preparation_that_failed_leaves_an_earlier_run_as_it_was_and_says_where_the_reasons_stand(
    tmp_path: Path,
) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    (songs / "Caz" / "cover.jpg").touch()
    prepare(songs, run, SETTINGS, workers=1)
    before = run.skipped_csv.read_bytes()
    with pytest.raises(TmgcError) as raised:
        prepare(songs, run, replace(SETTINGS, offsets_seconds=(60.0,)), workers=1)
    assert run.skipped_csv.read_bytes() == before
    assert len(read_dataset(run).clips) == 20
    (named,) = re.findall(r"Look into (\S+);", str(raised.value))
    assert Path(named).read_text("utf-8").count("the song ends at 3.50 s") == 10


def test_a_preparation_that_failed_can_be_done_again(tmp_path: Path) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    far = replace(SETTINGS, offsets_seconds=(60.0,))
    with pytest.raises(TmgcError):
        prepare(songs, run, far, workers=1)
    dataset, _ = prepare(songs, run, SETTINGS, workers=1)
    assert len(dataset.clips) == 20


def test_a_full_disk_leaves_the_earlier_dataset_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(folder / "run")
    before = contents(run)
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.match(".part-dataset.*.json"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_bytes(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            prepared(folder, replace(SETTINGS, seed=1))
    assert contents(run) == before


def test_links_planted_in_a_run_lead_nowhere(folder: Path) -> None:
    run, private = Run(folder / "run"), folder / "private"
    private.mkdir()
    for place in (run.folder, run.clips, run.images):
        for path in [path for path in place.iterdir() if path.is_file()]:
            for name in (path.name, f".part-{path.name}"):
                target = private / f"{place.name} {name}"
                target.write_text("mine")
                (place / name).unlink(missing_ok=True)
                (place / name).symlink_to(target)
        (place / ".part-folder").symlink_to(private)
    prepared(folder)
    assert {path.read_text() for path in private.iterdir()} == {"mine"}
    left = [path for place in (run.folder, run.clips, run.images) for path in place.iterdir() if path.is_symlink()]
    assert not left
