"""Lengths that headers and pages state, in bodies that arrive in any pieces."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from edge_runtime.server.stated_length import StatedLength
from tests.conftest import tone


def encoded(form: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone(3, sample_rate=48_000)] * 2, axis=1), 48_000, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("piece", [7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("form", "subtype", "seconds"),
    [("WAV", None, 3.0), ("FLAC", None, 3.0), ("OGG", "VORBIS", 3.0), ("OGG", "OPUS", 3.0), ("MP3", None, 0.0)],
)
def test_the_length_is_seen_whatever_the_pieces(form: str, subtype: str | None, seconds: float, piece: int) -> None:
    stated, content = StatedLength(), encoded(form, subtype)
    for start in range(0, len(content), piece):
        stated.feed(content[start : start + piece])
    assert stated.seconds == pytest.approx(seconds, abs=0.05)
    assert stated.samples_per_second == (96_000 if seconds else 0)


@pytest.mark.parametrize("content", [b"", b"OggS", b"OggS" * 100, b"fLaC" + bytes(30), b"RIFF0000WAVE" + bytes(99_999)])
def test_what_states_nothing_has_no_length(content: bytes) -> None:
    stated = StatedLength()
    stated.feed(content)
    assert stated.seconds == 0
