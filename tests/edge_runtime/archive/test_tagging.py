"""A library is tagged once: what is there is not done again, what changes is, and nothing is lost on the way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from edge_runtime import TmgcError
from edge_runtime.archive.results import NOT_READ, SHARDS, read_archive
from edge_runtime.archive.song import Row
from edge_runtime.archive.tagging import Progress, Share
from edge_runtime.models import SMALL_MODEL
from tests.edge_runtime.archive.tagged import (
    Computed,
    Interrupting,
    WithOthers,
    computed,
    rows,
    tag_library,
    write_library,
    write_song,
)

BROKEN = "00/0007.mp3"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library"), 12, broken=[7])


@pytest.fixture
def music(library: Path, tmp_path: Path) -> Path:
    """A library that a test may change."""
    return Path(shutil.copytree(library, tmp_path / "music"))


def test_every_song_has_a_row_in_the_order_of_the_manifest_and_those_that_cannot_be_read_have_the_reason(
    music: Path, tmp_path: Path, model: Path
) -> None:
    outcome = tag_library(music, tmp_path / "out", model)
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == sorted(f"{n // 10:02d}/{n:04d}.mp3" for n in range(12))
    assert outcome.songs == 12
    assert outcome.failed == 1
    assert sum(outcome.genres.values()) == 11
    for number, row in enumerate(found):
        status = (music / row["path"]).stat()
        assert (row["size"], row["mtime_ns"], row["root"]) == (status.st_size, status.st_mtime_ns, str(music))
        assert (row["error"] is not None) == (number == 7)
        assert row["windows"] == (0 if number == 7 else 2)
    assert "this song is not" in found[7]["error"]


def test_a_second_run_does_nothing_and_leaves_every_file_as_it_is(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    assert computed(music, out, model) == 12
    before = {path.name: path.stat().st_mtime_ns for path in (out / SHARDS).iterdir()}
    assert computed(music, out, model) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (out / SHARDS).iterdir()} == before


def test_a_second_run_opens_no_shard_that_is_as_it_was_when_it_was_counted(
    music: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    first = tag_library(music, out, model, shard_songs=4)
    shard = next((out / SHARDS).iterdir())
    content, status = shard.read_bytes(), shard.stat()
    shard.write_bytes(bytes(len(content)))
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tag_library(music, out, model, shard_songs=4) == first
    os.utime(shard)
    with pytest.raises(TmgcError, match="is damaged"):
        tag_library(music, out, model, shard_songs=4)
    shard.write_bytes(content)
    assert tag_library(music, out, model, shard_songs=4) == first


@pytest.mark.parametrize("damage", ["missing", "cut off", "of other columns"])
def test_counts_are_made_again_where_they_cannot_be_used(damage: str, music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    first = tag_library(music, out, model)
    path = out / "counts.parquet"
    before = parquet.read_table(path)
    if damage == "missing":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        parquet.write_table(before.drop_columns("failed"), path)
    assert tag_library(music, out, model) == first
    assert parquet.read_table(path) == before


def test_only_songs_that_are_new_or_have_changed_are_classified(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    (music / BROKEN).unlink()
    tag_library(music, out, model, shard_songs=4)
    write_song(music / "00" / "new.mp3")
    os.utime(music / "00" / "0003.mp3", (1, 1))
    (music / "00" / "0005.mp3").unlink()
    assert computed(music, out, model, shard_songs=4) == 2
    assert len(rows(out)) == 11


def test_equal_paths_of_two_folders_are_two_songs_whatever_their_size_and_time(tmp_path: Path, model: Path) -> None:
    out, one, other = tmp_path / "out", tmp_path / "one", tmp_path / "other"
    for folder, level in (one, 0.3), (other, 0.003):
        os.utime(write_song(folder / "01.wav", level=level), (10**9, 10**9))
    assert computed([str(one)], out, model) == 1
    assert computed([str(one), str(other)], out, model) == 1
    levels = {row["root"]: row["level_dbfs"] for row in rows(out)}
    assert levels[str(one)] > levels[str(other)] + 30


def test_a_library_that_has_moved_is_another_one_and_rows_of_the_first_are_kept(
    music: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    (music / BROKEN).unlink()
    tag_library(music, out, model)
    moved = music.rename(tmp_path / "elsewhere")
    assert computed(moved, out, model) == 11
    assert {row["root"] for row in rows(out)} == {str(moved)}
    moved.rename(music)
    assert computed(music, out, model) == 0


def test_another_setting_never_mixes_with_rows_of_the_one_before(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model, windows=1)
    assert computed(music, out, model, windows=2) == 12
    assert {row["windows"] for row in rows(out)} == {0, 2}
    assert computed(music, out, model, windows=1) == 0, "those of the one before are still there"


def test_embeddings_are_columns_that_later_runs_take_over(music: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tag_library(music, out, SMALL_MODEL, embeddings=True)
    before = rows(out)
    write_song(music / "00" / "new.mp3")
    assert computed(music, out, SMALL_MODEL, embeddings=True) == 2, "the new one, and the broken one again"
    lengths = {row["path"]: len(row["embedding"] or ()) for row in before}
    assert {path for path, length in lengths.items() if length == 128} == set(lengths) - {BROKEN}
    assert [row for row in rows(out) if row["path"] != "00/new.mp3"] == before


def test_embeddings_of_a_model_that_has_none_are_refused(music: Path, tmp_path: Path, models: dict[str, Path]) -> None:
    for form, reason in {"onnx": "needs a .tflite file", "tflite": "needs a model that ends in a dense layer"}.items():
        with pytest.raises(TmgcError, match=f"--embeddings {reason}"):
            tag_library(music, tmp_path / "out", models[form], embeddings=True)


def test_another_model_never_mixes_with_rows_of_the_one_before(
    music: Path, tmp_path: Path, models: dict[str, Path]
) -> None:
    out = tmp_path / "out"
    tag_library(music, out, models["tflite"])
    (before,) = {row["model_sha256"] for row in rows(out)}
    assert computed(music, out, models["onnx"]) == 12
    (after,) = {row["model_sha256"] for row in rows(out)}
    assert before != after


def test_songs_are_done_again_by_force_and_failed_ones_on_request(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model)
    undisturbed = rows(out)
    assert computed(music, out, model, retry_failed=True) == 1
    assert computed(music, out, model, force=True) == 12
    assert rows(out) == undisturbed


def test_a_song_with_an_error_is_tried_again_when_its_shard_changes(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model)
    write_song(music / "00" / "00070.mp3")
    assert computed(music, out, model) == 2


def test_a_song_that_was_not_read_is_tried_again_by_the_next_run(music: Path, tmp_path: Path, model: Path) -> None:
    class Hiding(Progress):
        """A song goes away and comes back, as on a disk that fails for a moment."""

        def song(self, row: Row) -> None:
            if hidden.exists():
                hidden.rename(tmp_path / "hidden")

    out, hidden = tmp_path / "out", music / "01" / "0011.mp3"
    tag_library(music, out, model, progress=Hiding())
    assert rows(out)[11]["error"].startswith(NOT_READ)
    (tmp_path / "hidden").rename(hidden)
    assert computed(music, out, model) <= 2, "and one that cannot be decoded, if it is of the same shard"
    assert rows(out)[11]["error"] is None
    assert computed(music, out, model) == 0


@pytest.mark.parametrize("name", ["manifest.parquet", "shards/*"])
def test_a_damaged_file_is_named(name: str, music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model)
    path = next(out.glob(name))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TmgcError, match="is damaged"):
        tag_library(music, out, model)
    path.unlink()
    tag_library(music, out, model)
    assert len(rows(out)) == 12


def test_an_interruption_keeps_the_rows_that_are_done(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        tag_library(music, out, model, progress=Interrupting(5))
    with pytest.raises(TmgcError, match=r"shards of .* are missing"):
        read_archive(out)
    assert computed(music, out, model) == 12 - 5
    tag_library(music, tmp_path / "undisturbed", model)
    assert rows(out) == rows(tmp_path / "undisturbed")
    assert len(list((out / SHARDS).iterdir())) == len(read_archive(out).shards), "nothing is there twice"


def test_rows_are_saved_from_time_to_time(
    music: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, saved = tmp_path / "out", set[int]()

    class Watching(Progress):
        def song(self, row: Row) -> None:
            saved.update(parquet.read_metadata(path).num_rows for path in (out / SHARDS).iterdir())

    monkeypatch.setattr("edge_runtime.archive.shards.SAVE_SECONDS", 0.0)
    tag_library(music, out, model, progress=Watching())
    assert saved == set(range(1, 13))
    assert len(list((out / SHARDS).iterdir())) == len(read_archive(out).shards)


def test_shares_add_up_to_the_whole(music: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    parts = [computed(music, out, model, share=Share(number, 3), shard_songs=2) for number in (1, 2, 3)]
    assert sum(parts) == 12
    assert all(parts)
    assert len(rows(out)) == 12


def test_shares_that_run_at_once_have_one_manifest_even_when_the_library_changes(
    music: Path, tmp_path: Path, model: Path
) -> None:
    def others() -> None:
        before = (out / "manifest.parquet").stat().st_ino
        write_song(music / "00" / "00000.mp3")
        tag_library(music, out, model, share=Share(2, 2), shard_songs=2)
        assert (out / "manifest.parquet").stat().st_ino == before

    out = tmp_path / "out"
    tag_library(music, out, model, share=Share(1, 2), shard_songs=2, progress=WithOthers(others))
    assert len(rows(out)) == 12
    assert computed(music, out, model, shard_songs=2) >= 1
    assert len(rows(out)) == 13


def test_shares_of_other_work_and_whole_runs_are_refused_while_a_share_runs(
    music: Path, tmp_path: Path, models: dict[str, Path]
) -> None:
    def others() -> None:
        share = Share(2, 2)
        with pytest.raises(TmgcError, match="model_sha256 of those at work on"):
            tag_library(music, out, models["onnx"], share=share)
        with pytest.raises(TmgcError, match="settings of those at work on"):
            tag_library(music, out, models["tflite"], share=share, windows=1)
        with pytest.raises(TmgcError, match="roots of those at work on"):
            tag_library(music / "00", out, models["tflite"], share=share)
        with pytest.raises(TmgcError, match="another is at work on"):
            tag_library(music, out, models["tflite"])

    out = tmp_path / "out"
    tag_library(music, out, models["tflite"], share=Share(1, 2), progress=WithOthers(others))
    assert computed(music / "00", out, models["tflite"], share=Share(1, 1)) == 10, (
        "when it is done, other work may begin"
    )


def test_a_folder_that_has_lost_its_songs_is_refused_and_nothing_is_lost(
    music: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model)
    away = music.rename(tmp_path / "unmounted")
    with pytest.raises(TmgcError, match="there is no folder"):
        tag_library(music, out, model)
    music.mkdir()
    with pytest.raises(TmgcError, match="holds no songs, and held 12 before: is its disk mounted"):
        tag_library(music, out, model)
    music.rmdir()
    away.rename(music)
    assert computed(music, out, model) == 0


def test_a_disk_that_goes_away_during_the_run_ends_it_without_errors_for_its_songs(
    music: Path, tmp_path: Path, model: Path
) -> None:
    class Unmounting(Computed):
        def song(self, row: Row) -> None:
            super().song(row)
            if self.songs == 3:
                music.rename(tmp_path / "unmounted")

    out = tmp_path / "out"
    with pytest.raises(TmgcError, match=r"has gone\. Bring it back"):
        tag_library(music, out, model, progress=Unmounting())
    (tmp_path / "unmounted").rename(music)
    assert computed(music, out, model) <= 12 - 3
    assert sum(row["error"] is not None for row in rows(out)) == 1


def test_a_failed_song_does_not_have_its_whole_folder_listed(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listdir(folder: Any = ".") -> list[Any]:
        listed.append(str(folder))
        return really(folder)

    class Watching(Progress):
        def begin(self, songs: int, done: int) -> None:
            monkeypatch.setattr("os.listdir", listdir)

    really, listed, music = os.listdir, list[str](), tmp_path / "music"
    music.mkdir()
    (music / "broken.mp3").write_bytes(b"nothing")
    assert tag_library(music, tmp_path / "out", model, progress=Watching()).failed == 1
    assert str(music) not in listed


def test_songs_that_are_gone_are_told_and_are_not_classified_again_when_they_come_back(
    music: Path, tmp_path: Path, model: Path, notices: list[str]
) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model, shard_songs=2)
    shutil.move(music / "01", tmp_path / "01")
    tag_library(music, out, model, shard_songs=2)
    assert f"warning: gone from {music} since the last run: 2 songs, such as 01/0010.mp3" in notices
    assert len(rows(out)) == 10
    tag_library(music, out, model, shard_songs=2)
    shutil.move(tmp_path / "01", music / "01")
    assert computed(music, out, model, shard_songs=2) == 0
    assert len(rows(out)) == 12


def test_results_stay_apart_from_songs_other_files_and_other_runs(music: Path, tmp_path: Path, model: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(TmgcError, match="holds other files"):
        tag_library(music, tmp_path / "full", model)
    with pytest.raises(TmgcError, match="is something else"):
        tag_library(music, tmp_path / "full" / "letter.txt", model)
    with pytest.raises(TmgcError, match="belongs to one folder"):
        tag_library([str(music), str(music / "00")], tmp_path / "out", model)


def test_after_a_complete_run_the_shards_hold_exactly_one_row_for_each_song(
    music: Path, tmp_path: Path, models: dict[str, Path]
) -> None:
    out = tmp_path / "out"

    def check(folder: Path, model: str, songs: int, new: int) -> None:
        assert computed(folder, out, models[model], shard_songs=4) == new
        found = [row for path in (out / SHARDS).glob("*.parquet") for row in parquet.read_table(path).to_pylist()]
        assert len(found) == songs
        assert {row["path"] for row in found} == {row["path"] for row in rows(out)}

    check(music, "tflite", songs=12, new=12)
    (music / "00" / "0005.mp3").rename(tmp_path / "away.mp3")
    (music / BROKEN).unlink()
    check(music, "tflite", songs=10, new=0)
    check(music, "onnx", songs=10, new=10)
    check(write_library(tmp_path / "other", 3), "onnx", songs=3, new=3)
    (tmp_path / "away.mp3").rename(music / "00" / "0005.mp3")
    check(music, "onnx", songs=11, new=1)
    check(music, "tflite", songs=11, new=0)


def test_a_run_that_was_interrupted_twice_goes_on_where_rows_were_saved_before(
    music: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        tag_library(music, out, model, progress=Interrupting(2), shard_songs=10_000)
    (saved,) = (out / SHARDS).iterdir()
    before = saved.stat().st_mtime_ns

    def interrupt(*_: object) -> Row:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("edge_runtime.archive.song.Tagger.__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tag_library(music, out, model, shard_songs=10_000)
    assert [path.name for path in (out / SHARDS).iterdir()] == [saved.name]
    assert saved.stat().st_mtime_ns == before, "rows of an earlier run are not saved again"
    assert computed(music, out, model, shard_songs=10_000) == 10
    assert len(list((out / SHARDS).iterdir())) == 1


def test_results_of_a_first_run_that_ended_at_once_or_without_their_description_are_gone_on_with(
    music: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(TmgcError, match="holds none"):
        tag_library(tmp_path / "empty", out, model)
    assert computed(music, out, model) == 12
    (out / "archive.json").unlink()
    (out / "journal.jsonl").touch()
    (out / "report.html").touch()
    assert computed(music, out, model) == 0
    assert len(rows(out)) == 12
