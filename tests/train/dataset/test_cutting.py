"""A clip is the sound of its song at its offset, and what cannot be cut has its reason."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import read_audio
from tests.train.dataset.conftest import SETTINGS, melody, write_sound
from train.dataset.build import magma
from train.dataset.discover import Song
from train.dataset.extract import CutSong, Job, cut_song
from train.libraries import silence

RATE = SETTINGS.spectrogram.sample_rate


def cut(path: Path, *offsets: float, sample_rate: int = RATE) -> CutSong:
    spectrogram = replace(SETTINGS.spectrogram, sample_rate=sample_rate)
    settings = replace(SETTINGS, offsets_seconds=offsets or SETTINGS.offsets_seconds, spectrogram=spectrogram)
    folder = path.parent / "cut"
    folder.mkdir(exist_ok=True)
    with silence():
        return cut_song(Job(Song(path, f"Caz/{path.name}", "Caz"), settings, magma(), folder, folder, folder))


def test_a_cut_song_tells_its_artist_its_content_and_its_clips(tmp_path: Path) -> None:
    done = cut(write_sound(tmp_path / "a.flac", melody(1), artist="Şükrü  İğde"))
    assert done.artist == "Şükrü İğde"
    assert len(done.sha256) == 64
    assert not done.left_out
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 1.0]
    names = {clip.name for clip in done.clips}
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {
        f"{name}{end}" for name in names for end in (".png", ".flac")
    }


@pytest.mark.parametrize("artist", ["", "Neşet Ertaş"])
@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac", ".wav", ".aiff"])
def test_tags_of_every_format_are_read(tmp_path: Path, suffix: str, artist: str) -> None:
    assert cut(write_sound(tmp_path / f"a{suffix}", melody(1), artist=artist)).artist == artist


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_clip_of_an_mp3_is_what_decoding_the_whole_song_gives(tmp_path: Path, mode: str, channels: int) -> None:
    sound = np.stack([melody(number, seconds=20) for number in range(channels)], axis=1)
    path = write_sound(tmp_path / "a.mp3", sound, bitrate_mode=mode)
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    done = cut(path, 15.0, 3.0, 9.5, sample_rate=22_050)
    assert len(done.clips) == 3
    for clip in done.clips:
        sound, _ = soundfile.read(tmp_path / "cut" / f"{clip.name}.flac", dtype="float32")
        first = round((clip.offset_seconds - 0.5) * 22_050)
        np.testing.assert_allclose(sound, whole.mean(axis=1)[first : first + len(sound)], atol=1e-4)


def test_a_short_song_gives_the_offsets_that_fit(tmp_path: Path) -> None:
    done = cut(write_sound(tmp_path / "a.wav", melody(1)), 0.0, 1.5, 2.0)
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 1.5]
    assert [item.reason for item in done.left_out] == ["at 2 s: the song ends at 3.50 s"]


def damaged_samples(path: Path) -> None:
    sound = melody(1)
    sound[30_000:30_010] = np.nan
    soundfile.write(path, sound, 22_050, subtype="FLOAT")


def truncated(path: Path) -> None:
    path.write_bytes(write_sound(path, melody(1)).read_bytes()[:100_000])


def forbidden(path: Path) -> None:
    write_sound(path, melody(1)).chmod(0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("no music"), "can be decoded"),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(200_000)), "can be decoded"),
        (lambda path: path.touch(), "0 bytes"),
        (lambda path: soundfile.write(path, np.zeros(90_000), 22_050), "silent"),
        (lambda path: soundfile.write(path, np.full(90_000, np.nan), 22_050, subtype="FLOAT"), "not sound"),
        (damaged_samples, "not sound"),
        (truncated, "truncated"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        pytest.param(
            forbidden,
            "readable",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root"),
        ),
    ],
)
def test_a_bad_file_has_its_reason(tmp_path: Path, make, reason: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "a.wav")
    done = cut(tmp_path / "a.wav", 0.0)
    assert not done.clips
    assert any(reason in item.reason for item in done.left_out), done.left_out
    assert all("\n" not in item.reason for item in done.left_out)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg"])
def test_a_truncated_song_gives_whole_clips_or_a_reason(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_sound(tmp_path / f"a{suffix}", melody(1, seconds=12))
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    done = cut(path, 0.0, 4.0, 9.5)
    assert len(done.clips) + len(done.left_out) == 3 or (not done.clips and len(done.left_out) == 1)
    assert done.left_out, "its end is missing"
    for clip in done.clips:
        assert len(read_audio(tmp_path / "cut" / f"{clip.name}.flac", sample_rate=RATE)) >= 2 * RATE


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".wav"])
def test_what_a_truncated_song_still_holds_is_cut(tmp_path: Path, suffix: str) -> None:
    path = write_sound(tmp_path / f"a{suffix}", melody(1, seconds=12))
    path.write_bytes(path.read_bytes()[: round(0.7 * path.stat().st_size)])
    done = cut(path, 0.0, 2.5, 9.5)
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 2.5]
    assert [item.reason.partition(":")[0] for item in done.left_out] == ["at 9.5 s"]


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.mp3", melody(1)).rename(tmp_path / "a.wav")
    assert len(cut(tmp_path / "a.wav").clips) == 2


def test_what_only_ffmpeg_decodes_is_listed_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.m4a").write_bytes(b"something")
    done = cut(tmp_path / "a.m4a")
    assert not done.clips
    assert "needs ffmpeg" in done.left_out[0].reason


@pytest.mark.parametrize("full", ["for ffmpeg", "for its folder"])
def test_a_full_disk_is_no_fault_of_the_song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(
        "#!/bin/sh\necho 'song.wav: No space left on device' >&2\necho 'Conversion failed!' >&2\nexit 1\n"
    )
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if full == "for its folder":

        def refused(**_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    (tmp_path / "a.m4a").write_bytes(b"something")
    with pytest.raises(OSError, match="No space left"):
        cut(tmp_path / "a.m4a")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
def test_ffmpeg_decodes_what_libsndfile_cannot(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", melody(1))
    tags = ["-metadata", "artist=Âşık Veysel"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, *tags, tmp_path / "a:1.m4a"], check=True)
    done = cut(tmp_path / "a:1.m4a")
    assert len(done.clips) == 2
    assert done.artist == "Âşık Veysel"
    (tmp_path / "bad.m4a").write_bytes(b"something")
    assert "ffmpeg cannot decode it" in cut(tmp_path / "bad.m4a").left_out[0].reason
    assert {path.suffix for path in (tmp_path / "cut").iterdir()} == {".png", ".flac"}, "no decoded song is left"
