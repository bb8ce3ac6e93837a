"""A library of any size is divided into shards that stay as they are while others change."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from edge_runtime.archive.counts import ShardCounts
from edge_runtime.archive.manifest import write_manifest
from edge_runtime.archive.results import SHARDS, manifest_parts, manifest_schema
from edge_runtime.archive.shards import OlderRows, Plan, write_parquet
from edge_runtime.archive.song import Song

SONGS = 3000
AVERAGE = 20


def manifest(numbers: list[int]) -> pa.Table:
    """Songs of a library by their numbers."""
    generator = random.Random(0)
    sizes = [generator.randrange(10**7) for _ in range(SONGS + 10)]
    paths = [f"{number:05d}.mp3" for number in numbers]
    columns = paths, ["/music"] * len(numbers), [sizes[n] for n in numbers], [10**18 + n for n in numbers]
    return pa.table(list(columns), schema=manifest_schema())


def plan(out: Path, songs: pa.Table) -> Plan:
    (out / SHARDS).mkdir(parents=True, exist_ok=True)
    write_manifest(out, songs)
    return Plan(out, "ab" * 32, {"windows": 8, "embeddings": False}, AVERAGE)


def names(out: Path, numbers: list[int]) -> list[str]:
    return [part.name for part in plan(out, manifest(numbers)).parts()]


def test_shards_are_the_whole_manifest_in_its_order_and_none_is_large(tmp_path: Path) -> None:
    songs = manifest(list(range(SONGS)))
    write_manifest(tmp_path, songs)
    parts = list(manifest_parts(tmp_path / "manifest.parquet", shard_songs=AVERAGE))
    assert pa.Table.from_batches(parts) == songs
    assert max(map(len, parts)) <= 4 * AVERAGE
    assert AVERAGE / 2 < SONGS / len(parts) < 2 * AVERAGE


def test_shards_do_not_depend_on_how_the_manifest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(tmp_path, list(range(SONGS)))
    for rows in (7, 100):
        monkeypatch.setattr("edge_runtime.archive.manifest.ROW_GROUP", rows)
        assert names(tmp_path, list(range(SONGS))) == before


@pytest.mark.parametrize("place", [0, 1, 100, 1501, SONGS - 1])
def test_a_song_that_comes_or_goes_changes_its_own_shard_and_at_most_the_next(place: int, tmp_path: Path) -> None:
    numbers = list(range(SONGS))
    before = set(names(tmp_path, numbers))
    fewer = set(names(tmp_path, numbers[:place] + numbers[place + 1 :]))
    assert 1 <= len(before - fewer) <= 2
    assert len(fewer - before) <= 2


def test_songs_of_equal_size_and_time_are_divided_too(tmp_path: Path) -> None:
    songs = manifest(list(range(SONGS)))
    same = pa.array([1] * SONGS, pa.int64())
    sizes = Counter(
        part.songs
        for part in plan(
            tmp_path, songs.set_column(2, songs.field(2), same).set_column(3, songs.field(3), same)
        ).parts()
    )
    assert max(sizes) <= 4 * AVERAGE


def test_the_name_of_a_shard_tells_apart_whatever_its_rows_follow_from(tmp_path: Path) -> None:
    songs = manifest(list(range(5)))
    (part,) = songs.to_batches()
    changed = [
        songs.set_column(column, songs.field(column), pa.array([value, *songs.column(column).to_pylist()[1:]]))
        for column, value in enumerate(("x", "/other", 1, 1))
    ]
    plans = [
        plan(tmp_path, songs),
        Plan(tmp_path, "cd" * 32, {"windows": 8, "embeddings": False}),
        Plan(tmp_path, "ab" * 32, {"windows": 9, "embeddings": False}),
    ]
    found = [each.name(part) for each in plans]
    found += [plans[0].name(other.cast(songs.schema).to_batches()[0]) for other in changed]
    found += [plans[0].name(part.slice(1)), plans[0].name(part.slice(0, 4))]
    assert len(set(found)) == len(found)
    assert plans[0].name(pa.Table.from_batches([part]).to_batches()[0]) == found[0]


def test_shards_that_have_gone_meanwhile_count_nothing(tmp_path: Path) -> None:
    mine = plan(tmp_path, manifest([0, 1, 2]))
    assert mine.all_there(["gone.parquet"]) == []
    assert ShardCounts(mine).of(["gone.parquet"]) == {}


def test_older_rows_are_those_of_wanted_songs_without_an_error(tmp_path: Path) -> None:
    songs = manifest([0, 1, 2])
    errors = pa.array([None, None, "it is empty"], pa.string())
    write_parquet(tmp_path / "shard.parquet", songs.append_column("error", errors))
    shards = [tmp_path / "gone.parquet", tmp_path / "shard.parquet"]
    older = OlderRows(shards, [songs.take([0, 2]).combine_chunks().to_batches()[0]])
    found = [older.find(Song(number, **row)) for number, row in enumerate(songs.to_pylist())]
    assert [row and row["path"] for row in found] == ["00000.mp3", None, None]
    assert OlderRows(shards, []).find(Song(0, **songs.to_pylist()[0])) is None
