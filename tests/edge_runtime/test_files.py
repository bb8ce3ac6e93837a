"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.files import atomic_write, sha256_of


def test_a_file_takes_its_place_when_the_writing_has_gone_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "card.json"
    with atomic_write(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_writing_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as partial:
            partial.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    # The two-block message of FIPS 180-4, and its digest as the standard's examples give it.
    (tmp_path / "message").write_bytes(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    expected = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    assert sha256_of(tmp_path / "message") == expected
