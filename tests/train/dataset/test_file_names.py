"""Names in the encodings of a Turkish Windows are read as people wrote them."""

from __future__ import annotations

import os

import pytest

from train.dataset.file_names import quoted, readable, readable_paths

SONG = "Müslüm Gürses – Kış Güneşi.mp3"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1254"])
def test_each_name_of_a_path_is_decoded_on_its_own(encoding: str) -> None:
    path = "Türkü".encode("cp857") + b"/" + SONG.encode(encoding)
    assert readable(os.fsdecode(path)) == f"Türkü/{SONG}"


def test_a_name_in_no_encoding_has_escapes() -> None:
    assert readable(os.fsdecode(b"Pop/\xe7\x81.mp3")) == r"Pop/\xe7\x81.mp3"
    assert quoted(os.fsdecode(b"\xe7\x81\n")) == r"'\xe7\x81\n'"


def test_two_paths_never_read_the_same() -> None:
    paths = [os.fsdecode(f"Pop/{SONG}".encode(encoding)) for encoding in ("utf-8", "cp1254")]
    assert len(set(readable_paths(paths).values())) == 2
    assert readable_paths(paths)[paths[0]] == f"Pop/{SONG}"
