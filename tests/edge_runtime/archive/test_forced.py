"""A run that does all songs again goes on after an interruption, as any other does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_runtime import TmgcError
from edge_runtime.archive.results import SHARDS, read_archive
from edge_runtime.archive.tagging import Share
from tests.edge_runtime.archive.tagged import (
    Interrupting,
    WithOthers,
    computed,
    rows,
    tag_library,
    write_library,
)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library"), 12, broken=[7])


@pytest.mark.parametrize("force", [False, True])
def test_a_forced_run_that_is_interrupted_goes_on_where_it_was(
    force: bool, music: Path, tmp_path: Path, model: Path, notices: list[str]
) -> None:
    out = tmp_path / "out"
    tag_library(music, out, model, shard_songs=4)
    undisturbed = rows(out)
    for songs in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            tag_library(music, out, model, shard_songs=4, force=True, progress=Interrupting(songs))
    assert 12 - 3 - 4 <= computed(music, out, model, shard_songs=4, force=force) <= 12 - 3 - 4 + 1, (
        "the broken song is tried again where its shard was not complete"
    )
    assert rows(out) == undisturbed
    assert len(list((out / SHARDS).iterdir())) == len(read_archive(out).shards)
    assert computed(music, out, model, shard_songs=4) == 0
    assert computed(music, out, model, shard_songs=4, force=True) == 12, "the one before is complete"
    assert notices.count("--force goes on with the run that it has begun") == 1 + force


def test_shares_are_forced_together_one_after_the_other_and_again_after_an_interruption(
    music: Path, tmp_path: Path, model: Path
) -> None:
    def share(number: int, **options: Any) -> int:
        return computed(music, out, model, share=Share(number, 2), shard_songs=2, **options)

    out = tmp_path / "out"
    tag_library(music, out, model, shard_songs=2)
    with pytest.raises(KeyboardInterrupt):
        tag_library(music, out, model, share=Share(1, 2), shard_songs=2, force=True, progress=Interrupting(1))
    done = [share(number, force=True) for number in (1, 2, 1)]
    assert done[0] + done[1] == 12 - 1
    assert done[2] == 0
    assert computed(music, out, model, shard_songs=2) == 0
    assert len(rows(out)) == 12


def test_a_share_is_not_forced_beside_others_that_are_not(music: Path, tmp_path: Path, model: Path) -> None:
    def forced() -> None:
        with pytest.raises(TmgcError, match="shares of one --force begin with it"):
            tag_library(music, out, model, share=Share(2, 2), force=True)

    out = tmp_path / "out"
    tag_library(music, out, model, share=Share(1, 2), progress=WithOthers(forced))
