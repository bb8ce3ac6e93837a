"""libsndfile's answers, and what it does not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime.decoding.pcm import Block
from edge_runtime.decoding.sndfile import Sndfile
from tests.conftest import tone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song.mp3"


def write(path: Path, form: str, **options: str) -> Path:
    soundfile.write(path, tone(3, sample_rate=8_000), 8_000, format=form, **options)
    return path


def decoded(file: Sndfile, start: int = 0) -> int:
    return sum(len(block.samples) for block in file.blocks(start, float("inf"), length=1000))


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
def test_the_format_is_known_by_content(path: Path, form: str) -> None:
    file = Sndfile(write(path, form))
    assert decoded(file) == pytest.approx(24_000, abs=600)
    assert not file.goes_on()
    assert not file.is_truncated(decoded(file))
    file.close()


@pytest.mark.parametrize(
    ("form", "exact"), [("WAV", True), ("FLAC", True), ("AIFF", True), ("MP3", False), ("OGG", False)]
)
def test_a_length_is_stated_only_where_it_is_reliable(path: Path, form: str, exact: bool) -> None:
    file = Sndfile(write(path, form))
    assert (file.frames == 24_000) if exact else (file.frames is None)
    file.close()


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_second_file_behind_the_first_is_seen_also_after_a_seek(path: Path, form: str) -> None:
    content = write(path, form).read_bytes()
    path.write_bytes(content + content)
    try:
        file = Sndfile(path)
    except ValueError:  # of two WAVs
        return
    decoded(file, 16_000)
    assert file.goes_on()
    file.close()


def test_what_was_decoded_before_an_error_is_yielded(path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 40_000)
    soundfile.write(path, sound, 8_000, format="FLAC")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    file = Sndfile(path)
    decoded: list[Block] = []
    with pytest.raises(ValueError, match="sync"):
        decoded.extend(file.blocks(0, float("inf"), length=40_000))
    file.close()
    samples = np.concatenate([block.samples[:, 0] for block in decoded])
    assert len(samples) > 20_000
    np.testing.assert_allclose(samples, sound[: len(samples)], atol=1e-4)


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no music")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        Sndfile(write(path, "WAV")).close()
        with pytest.raises(ValueError, match="recognised"):
            Sndfile(tmp_path / "text")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
