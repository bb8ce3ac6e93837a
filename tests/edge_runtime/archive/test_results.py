"""Results are read as they were written, whatever the names of songs, and refused where they are not whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.archive.results import ARCHIVE_JSON, MANIFEST, local_path, read_archive, schema, stored_path
from edge_runtime.errors import TmgcError
from tests.edge_runtime.archive.made import GENRES, make_archive, row

MUSIC = "/srv/music"


def test_every_name_comes_back_from_valid_text() -> None:
    generator = np.random.default_rng(0)
    choice = [0xEE, 0xBE, 0xBF, 0x80, 0xFE, 0xFF, 0xC5, 0x9F, 0x41, 0x0A, 0x1B]
    for _ in range(2000):
        path = os.fsdecode(bytes(generator.choice(choice, 12).tolist()))
        stored = stored_path(path)
        assert stored.encode("utf-8")
        assert local_path(stored) == path
    assert stored_path("Şarkı/İlk.mp3") == "Şarkı/İlk.mp3"
    assert stored_path("\udcfe.mp3") == "\ueffe.mp3"


def test_rows_are_those_that_were_written_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    written = [row(f"{number}\udcfe.mp3", MUSIC, "Halk" if number % 3 else None) for number in range(10)]
    archive = make_archive(tmp_path, written)
    assert archive.songs == 10
    found = list(archive.rows())
    assert [song["path"] for song in found] == [song["path"] for song in written]
    assert [song["genre"] for song in found] == [song["genre"] for song in written]
    assert list(found[0]) == schema(GENRES).names
    assert list(archive.rows(["path"])) == [{"path": song["path"]} for song in written]


def change(folder: Path, **values: Any) -> None:
    document = json.loads((folder / ARCHIVE_JSON).read_text("utf-8")) | values
    (folder / ARCHIVE_JSON).write_text(json.dumps(document), encoding="utf-8")


def test_what_is_not_whole_is_refused_in_one_line(tmp_path: Path) -> None:
    archive = make_archive(tmp_path, [row(f"{number}.mp3", MUSIC) for number in range(10)])
    shard = archive.shards[0]
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(TmgcError, match=f"{shard.name} is damaged"):
        list(archive.rows())
    shard.unlink()
    with pytest.raises(TmgcError, match=f"1 of {len(archive.shards)} shards of .* are missing"):
        read_archive(tmp_path)
    change(tmp_path, settings={"windows": 9})
    with pytest.raises(TmgcError, match=f"{len(archive.shards)} of {len(archive.shards)} shards"):
        read_archive(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"PAR1")
    with pytest.raises(TmgcError, match=r"manifest\.parquet is damaged"):
        read_archive(tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(TmgcError, match=r"holds manifest\.parquet: .* does not"):
        read_archive(tmp_path)


@pytest.mark.parametrize("damage", [{"genres": "Pop"}, {"roots": None}, {"shard_songs": "4"}, {"threshold": []}])
def test_a_damaged_description_is_refused_in_one_line(damage: dict[str, Any], tmp_path: Path) -> None:
    make_archive(tmp_path, [row("a.mp3", MUSIC)])
    change(tmp_path, **damage)
    with pytest.raises(TmgcError, match=rf"archive\.json is damaged \(its {next(iter(damage))} is missing"):
        read_archive(tmp_path)


def test_results_of_another_schema_are_left_to_the_tmgc_that_wrote_them(tmp_path: Path) -> None:
    make_archive(tmp_path, [row("a.mp3", MUSIC)])
    change(tmp_path, schema=2)
    with pytest.raises(TmgcError, match="must be of schema 1: it is of 2"):
        read_archive(tmp_path)
    (tmp_path / ARCHIVE_JSON).write_text("[]")
    with pytest.raises(TmgcError, match="is damaged"):
        read_archive(tmp_path)
