"""ID3v2 tags are taken apart and put together again without a change."""

from __future__ import annotations

import pytest

from edge_runtime.archive.id3_frames import Frame, Id3Tag, parse_id3
from edge_runtime.errors import TmgcError


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 20_000, 300_000])
def test_frames_of_every_length_come_back(version: int, length: int) -> None:
    tag = Id3Tag(version, 0, [Frame(b"PRIV", b"\x20\0", b"\xab" * length), Frame(b"TIT2", b"\0\0", b"\0x")])
    assert parse_id3(tag.render(0)) == tag
    assert parse_id3(tag.render(500_000)) == tag
    assert len(tag.render(500_000)) == 500_000


def test_a_tag_that_says_to_be_unsynchronised_and_is_not_is_refused() -> None:
    tag = Id3Tag(3, 0x80, [Frame(b"PRIV", b"\0\0", b"\xff\xfb")]).render(0)
    with pytest.raises(TmgcError, match="not unsynchronised as it says"):
        parse_id3(tag)


def test_a_tag_longer_than_its_size_can_say_is_refused() -> None:
    with pytest.raises(TmgcError, match="too long"):
        Id3Tag(4, 0, [Frame(b"PRIV", b"\0\0", bytes(1 << 28))]).render(0)


def test_unsynchronised_frames_and_the_sizes_of_old_itunes_are_understood() -> None:
    picture = Frame(b"APIC", b"\0\0", b"\0image/png\0\3\0" + b"\xff\x00\x01" * 100)
    plain = Id3Tag(3, 0, [picture]).render(0)
    body = plain[10:].replace(b"\xff\x00", b"\xff\x00\x00")
    size = bytes([0, 0, len(body) >> 7, len(body) & 127])
    assert parse_id3(b"ID3\x03\0\x80" + size + body) == Id3Tag(3, 0, [picture])
    assert parse_id3(plain[:3] + b"\x04" + plain[4:]) == Id3Tag(4, 0, [picture]), "with sizes of eight bits a byte"
