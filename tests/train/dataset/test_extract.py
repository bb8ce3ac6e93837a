"""A clip is the audio of its song at its offset, and what cannot be extracted has its reason."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from edge_runtime import read_audio
from edge_runtime.audio import mono_recording
from edge_runtime.decoding.file_end import frame_bytes
from tests.train.dataset.conftest import SETTINGS, melody, write_sound
from train.dataset.build import magma
from train.dataset.discover import Song
from train.dataset.extract import ExtractedSong, Job, extract_song, read_extracted, spread_windows, stem_of
from train.libraries import silence
from train.run import Run

RATE = SETTINGS.spectrogram.sample_rate


def job_of(path: Path, *offsets: float, sample_rate: int = RATE, windows: int | None = None) -> Job:
    """The job of a song beside the folder of its run, ``run``."""
    spectrogram = replace(SETTINGS.spectrogram, sample_rate=sample_rate)
    offsets = offsets or SETTINGS.offsets_seconds
    settings = replace(SETTINGS, offsets_seconds=offsets, windows_per_song=windows, spectrogram=spectrogram)
    run = Run(path.parent / "run")
    for folder in (run.clips, run.images):
        folder.mkdir(parents=True, exist_ok=True)
    song = Song(path, f"Caz/{path.name}", "Caz")
    return Job(song, stem_of(song, settings) if path.exists() else "gone", run, settings, magma())


def extract(path: Path, *offsets: float, sample_rate: int = RATE, windows: int | None = None) -> ExtractedSong:
    with silence():
        return extract_song(job_of(path, *offsets, sample_rate=sample_rate, windows=windows))


def offsets_of(song: ExtractedSong) -> list[float]:
    return [clip.offset_seconds for clip in song.clips]


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_extracted_song_has_its_artist_its_hash_and_its_clips(tmp_path: Path) -> None:
    done = extract(write_sound(tmp_path / "a.flac", melody(1), artist="Şükrü  İğde"))
    assert done.artist == "Şükrü İğde"
    assert len(done.sha256) == 64
    assert not done.skipped
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 1.0]
    names = {clip.name for clip in done.clips}
    assert files_of(tmp_path / "run" / "images") == {f"{name}.png" for name in names}
    stem = {name.rpartition("_")[0] for name in names}
    assert files_of(tmp_path / "run" / "clips") == {f"{name}.flac" for name in names} | {f"{stem.pop()}.json"}


@pytest.mark.parametrize("artist", ["", "Neşet Ertaş"])
@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac", ".wav", ".aiff"])
def test_tags_of_every_format_are_read(tmp_path: Path, suffix: str, artist: str) -> None:
    assert extract(write_sound(tmp_path / f"a{suffix}", melody(1), artist=artist)).artist == artist


@pytest.mark.parametrize("offset", [-0.3, 0.03])
def test_the_clips_of_a_song_with_an_offset_are_those_without(tmp_path: Path, offset: float) -> None:
    done, images = [], []
    for name, added in (("offset", offset), ("none", 0.0)):
        song = extract(write_sound(tmp_path / name / "a.wav", 0.05 * melody(1) + added, subtype="PCM_24"))
        done.append(song)
        paths = [tmp_path / name / "run" / "images" / f"{clip.name}.png" for clip in song.clips]
        images.append([np.asarray(Image.open(path)).astype(int) for path in paths])
    assert len(done[0].clips) == len(done[1].clips) == 2
    for found, expected in zip(done[0].clips, done[1].clips, strict=True):
        assert found.level_dbfs == pytest.approx(expected.level_dbfs, abs=0.01)
    assert np.abs(np.diff(images, axis=0)).max() <= 1


def test_a_song_with_an_inverted_channel_is_its_louder_channel(tmp_path: Path) -> None:
    sound = melody(1)
    done = extract(write_sound(tmp_path / "a.wav", np.stack([-0.9 * sound, sound], axis=1)))
    expected = extract(write_sound(tmp_path / "mono" / "a.wav", sound))
    assert not done.skipped
    assert [clip.level_dbfs for clip in done.clips] == pytest.approx(
        [clip.level_dbfs for clip in expected.clips], abs=0.1
    )


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_clip_of_an_mp3_is_what_decoding_the_whole_song_gives(tmp_path: Path, mode: str, channels: int) -> None:
    sound = np.stack([melody(number, seconds=20) for number in range(channels)], axis=1)
    path = write_sound(tmp_path / "a.mp3", sound, bitrate_mode=mode)
    decoded, _ = soundfile.read(path, dtype="float32", always_2d=True)
    whole = mono_recording(decoded, rate=22_050, sample_rate=22_050)
    done = extract(path, 15.0, 3.0, 9.5, sample_rate=22_050)
    assert len(done.clips) == 3
    for clip in done.clips:
        sound, _ = soundfile.read(tmp_path / "run" / "clips" / f"{clip.name}.flac", dtype="float32")
        first = round((clip.offset_seconds - 0.5) * 22_050)
        settled = 22_050 * 4 // 10  # the filter that removes an offset begins anew with each clip's margin
        np.testing.assert_allclose(sound[settled:], whole[first + settled : first + len(sound)], atol=1e-4)


def test_a_short_song_gives_the_offsets_that_fit(tmp_path: Path) -> None:
    done = extract(write_sound(tmp_path / "a.wav", melody(1)), 0.0, 1.5, 2.0)
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 1.5]
    assert [item.reason for item in done.skipped] == ["at 2 s: the song ends at 3.50 s"]


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
        (lambda path: soundfile.write(path, np.full(90_000, 0.3), 22_050), "silent"),
        (lambda path: soundfile.write(path, np.full(90_000, np.nan), 22_050, subtype="FLOAT"), "invalid samples"),
        (damaged_samples, "invalid samples"),
        (truncated, "truncated"),
        (lambda path: path.symlink_to("nowhere"), "there is no"),
        pytest.param(
            forbidden,
            "readable",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root"),
        ),
    ],
)
def test_a_bad_file_has_its_reason(tmp_path: Path, make, reason: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "a.wav")
    done = extract(tmp_path / "a.wav", 0.0)
    assert not done.clips
    assert any(reason in item.reason for item in done.skipped), done.skipped
    assert all("\n" not in item.reason for item in done.skipped)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg"])
def test_a_truncated_song_gives_whole_clips_or_a_reason(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_sound(tmp_path / f"a{suffix}", melody(1, seconds=12))
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    done = extract(path, 0.0, 4.0, 9.5)
    assert len(done.clips) + len(done.skipped) == 3 or (not done.clips and len(done.skipped) == 1)
    assert done.skipped, "its end is missing"
    for clip in done.clips:
        assert len(read_audio(tmp_path / "run" / "clips" / f"{clip.name}.flac", sample_rate=RATE)) >= 2 * RATE


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".wav"])
def test_what_a_truncated_song_still_holds_is_extracted(tmp_path: Path, suffix: str) -> None:
    path = write_sound(tmp_path / f"a{suffix}", melody(1, seconds=12))
    path.write_bytes(path.read_bytes()[: round(0.7 * path.stat().st_size)])
    done = extract(path, 0.0, 2.5, 9.5)
    assert [clip.offset_seconds for clip in done.clips] == [0.0, 2.5]
    assert [item.reason.partition(":")[0] for item in done.skipped] == ["at 9.5 s"]


@pytest.mark.parametrize(
    ("taken", "count", "seconds", "expected"),
    [
        ((), 1, 3.0, [0.5]),
        ((), 3, 6.0, [0.0, 2.0, 4.0]),
        ((), 4, 6.0, [0.0, 2.0, 4.0]),
        ((), 2, 7.0, [1.0, 4.0]),
        ((), 1, 1.99, []),
        ((), 0, 60.0, []),
        ((), 4, math.inf, []),
        ((60.0, 70.0, 80.0, 90.0), 4, 240.0, [29.0, 127.5, 165.0, 202.5]),
        ((60.0, 70.0, 80.0, 90.0), 2, 30.0, [8.66, 19.33]),
        ((0.0, 0.5, 1.0), 1, 6.0, [3.5]),
    ],
)
def test_further_windows_are_spread_over_what_is_left_of_a_song(
    taken: tuple[float, ...], count: int, seconds: float, expected: list[float]
) -> None:
    assert spread_windows(taken, count, seconds=seconds, window_seconds=2.0) == pytest.approx(expected)


def test_spread_windows_never_overlap_and_fill_a_song_that_has_room_for_no_more() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        seconds, taken = float(random.uniform(2, 90)), [float(offset) for offset in 20 * np.arange(3) + 7]
        offsets = spread_windows(taken, 100, seconds=seconds, window_seconds=2.0)
        every = sorted([*offsets, *(offset for offset in taken if offset + 2 <= seconds)])
        assert not every or every[0] >= 0
        assert not every or every[-1] + 2 <= seconds
        assert all(np.diff(every) >= 2 - 0.011)
        assert max(np.diff([-2, *every, seconds])) < 4 + 0.011, "there is no room for another"


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac", ".wav", ".m4a"])
def test_the_windows_of_a_song_are_filled_up_in_every_format(tmp_path: Path, suffix: str) -> None:
    sound = melody(1, seconds=21, sample_rate=44_100)
    path = write_sound(tmp_path / "sound.wav", sound, sample_rate=44_100)
    if suffix == ".m4a":
        if shutil.which("ffmpeg") is None:
            pytest.skip("no ffmpeg on the PATH")
        subprocess.run(["ffmpeg", "-v", "error", "-i", path, tmp_path / "a.m4a"], check=True)
    else:
        write_sound(tmp_path / f"a{suffix}", sound, sample_rate=44_100)
    done = extract(tmp_path / f"a{suffix}", 6.0, 60.0, sample_rate=44_100, windows=5)
    assert not done.skipped
    assert offsets_of(done) == pytest.approx([2.0, 6.0, 9.4, 13.4, 17.2], abs=0.5)
    assert 6.0 in offsets_of(done)
    whole = read_audio(tmp_path / f"a{suffix}", sample_rate=44_100)
    for clip in done.clips:
        sound, _ = soundfile.read(tmp_path / "run" / "clips" / f"{clip.name}.flac", dtype="float32")
        first = round((clip.offset_seconds - clip.lead_seconds) * 44_100)
        settled = slice(44_100 // 2, 5 * 44_100 // 2)
        np.testing.assert_allclose(sound[settled], whole[first:][settled], atol=1e-3)


def test_a_song_that_is_too_short_for_its_offsets_has_windows_and_no_reason(tmp_path: Path) -> None:
    done = extract(write_sound(tmp_path / "a.wav", melody(1)), 60.0, 70.0, windows=4)
    assert offsets_of(done) == [0.75]
    assert not done.skipped


def test_a_song_that_is_too_short_for_a_window_has_its_reason(tmp_path: Path) -> None:
    done = extract(write_sound(tmp_path / "a.wav", melody(1, seconds=1)), 60.0, windows=4)
    assert [item.reason for item in done.skipped] == ["at 0 s: the song ends at 1.00 s"]


def test_windows_that_are_silent_are_replaced_by_others_and_listed(tmp_path: Path) -> None:
    sound = melody(1, seconds=30)
    sound[: 15 * 22_050] = 0
    done = extract(write_sound(tmp_path / "a.wav", sound), 60.0, windows=4)
    assert len(done.clips) == 4
    assert min(offsets_of(done)) > 13
    assert all("silent" in item.reason for item in done.skipped)


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".wav"])
def test_a_truncated_song_is_filled_up_from_what_is_left_of_it_and_has_its_reason(tmp_path: Path, suffix: str) -> None:
    path = write_sound(tmp_path / f"a{suffix}", melody(1, seconds=30))
    path.write_bytes(path.read_bytes()[: round(0.6 * path.stat().st_size)])
    done = extract(path, 1.0, 60.0, windows=5)
    assert len(done.clips) == 5
    assert any("truncated" in item.reason for item in done.skipped) or suffix == ".mp3"
    assert not any("ends at" in item.reason for item in done.skipped)


def test_a_header_that_states_a_wrong_length_costs_no_window(tmp_path: Path) -> None:
    sound = melody(1, seconds=40)
    sound[:22_050] = np.random.default_rng(0).uniform(-0.9, 0.9, 22_050)  # its bit rate is not that of the rest
    path = write_sound(tmp_path / "a.mp3", sound, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[frame_bytes(content[:4]) :])  # without its header
    done = extract(path, 60.0, windows=8)
    assert len(done.clips) == 8
    assert not done.skipped


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.mp3", melody(1)).rename(tmp_path / "a.wav")
    assert len(extract(tmp_path / "a.wav").clips) == 2


def test_what_only_ffmpeg_decodes_is_listed_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.m4a").write_bytes(b"something")
    done = extract(tmp_path / "a.m4a")
    assert not done.clips
    assert "ffmpeg, which knows more, is missing" in done.skipped[0].reason


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
def test_ffmpeg_decodes_what_libsndfile_cannot(tmp_path: Path) -> None:
    wav = write_sound(tmp_path / "a.wav", melody(1))
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, tmp_path / "a:1.m4a"], check=True)
    assert len(extract(tmp_path / "a:1.m4a").clips) == 2
    (tmp_path / "bad.m4a").write_bytes(b"something")
    assert "can be decoded" in extract(tmp_path / "bad.m4a").skipped[0].reason


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")
@pytest.mark.parametrize("joined", [False, True])
def test_a_clip_lies_where_it_is_heard_whatever_the_header_states(tmp_path: Path, joined: bool) -> None:
    sound = melody(1, seconds=20)
    sound[:22_050] = np.random.default_rng(0).uniform(-0.9, 0.9, 22_050)  # its bit rate is not that of the rest
    path = write_sound(tmp_path / "a.mp3", sound, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content + content if joined else content[frame_bytes(content[:4]) :])  # without its header
    whole = read_audio(path, sample_rate=22_050)
    assert len(whole) > 19 * 22_050
    done = extract(path, 15.0, 3.0, 9.5, 99.0, sample_rate=22_050)
    assert offsets_of(done) == [3.0, 9.5, 15.0]
    for clip in done.clips:
        clip_sound, _ = soundfile.read(tmp_path / "run" / "clips" / f"{clip.name}.flac")
        first = round((clip.offset_seconds - 0.5) * 22_050)
        np.testing.assert_allclose(clip_sound, whole[first : first + len(clip_sound)], atol=1e-3)
    assert [item.reason for item in done.skipped] == [f"at 99 s: the song ends at {len(whole) / 22_050:.2f} s"]


def test_what_was_extracted_is_read_back(tmp_path: Path) -> None:
    job = job_of(write_sound(tmp_path / "a.flac", melody(1), artist="Şükrü"), 0.0, 9.0)
    assert read_extracted(job) is None
    extracted, again = extract_song(job), read_extracted(job)
    assert again is not None
    assert [clip.name for clip in again.clips] == [clip.name for clip in extracted.clips]
    for one, other in zip(again.clips, extracted.clips, strict=True):
        np.testing.assert_array_equal(one.fingerprint, other.fingerprint)
        assert one._replace(fingerprint=other.fingerprint) == other
    assert again._replace(clips=()) == extracted._replace(clips=())


def test_the_files_of_a_song_are_named_by_its_version_and_by_the_settings_of_clips_alone(tmp_path: Path) -> None:
    song = Song(write_sound(tmp_path / "ş 1.wav", melody(1)), "Caz/ş 1.wav", "Caz")
    stem = stem_of(song, SETTINGS)
    assert re.fullmatch("ş_1_[0-9a-f]{12}", stem)
    assert stem_of(song, replace(SETTINGS, seed=3, group_by="song", split_ratios=(0.5, 0.25, 0.25))) == stem
    others = [
        stem_of(song, replace(SETTINGS, offsets_seconds=(0.0,))),
        stem_of(song, replace(SETTINGS, windows_per_song=4)),
        stem_of(song, replace(SETTINGS, spectrogram=replace(SETTINGS.spectrogram, image_width=33))),
        stem_of(song, replace(SETTINGS, colormap="gray")),
        stem_of(song._replace(relative_path="Pop/ş 1.wav"), SETTINGS),
    ]
    os.utime(song.path, ns=(0, 1))
    others.append(stem_of(song, SETTINGS))
    assert len({stem, *others}) == 7


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00 no JSON", b"[]", b"{}", b'{"clips": [{"name": "a"}], "skipped": []}']
)
def test_a_damaged_json_file_means_that_the_song_is_not_done(tmp_path: Path, content: bytes) -> None:
    job = job_of(write_sound(tmp_path / "a.flac", melody(1)))
    extract_song(job)
    (path,) = job.run.clips.glob("*.json")
    path.write_bytes(content)
    assert read_extracted(job) is None


@pytest.mark.parametrize(
    ("field", "wrong"), [("artist", 3), ("sha256", None), ("offset_seconds", "0"), ("level_dbfs", None)]
)
def test_a_json_file_with_a_field_of_another_type_means_that_the_song_is_not_done(
    tmp_path: Path, field: str, wrong: object
) -> None:
    job = job_of(write_sound(tmp_path / "a.flac", melody(1)))
    extract_song(job)
    (path,) = job.run.clips.glob("*.json")
    done = path.stat().st_mtime_ns
    document = json.loads(path.read_text("utf-8"))
    (document if field in document else document["clips"][0])[field] = wrong
    path.write_text(json.dumps(document), "utf-8")
    assert path.stat().st_mtime_ns >= done, "no file of a clip is newer"
    assert read_extracted(job) is None


@pytest.mark.parametrize("damage", ["missing", "too short"])
@pytest.mark.parametrize("suffix", [".flac", ".png"])
def test_a_song_whose_files_are_not_all_complete_is_not_done(tmp_path: Path, suffix: str, damage: str) -> None:
    job = job_of(write_sound(tmp_path / "a.flac", melody(1)))
    extract_song(job)
    path = next(job.run.folder.rglob(f"*{suffix}"))
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert read_extracted(job) is None


def test_a_song_without_clips_leaves_no_file_so_that_it_is_tried_again(tmp_path: Path) -> None:
    job = job_of(write_sound(tmp_path / "a.wav", melody(1)), 60.0)
    assert extract_song(job).skipped
    assert read_extracted(job) is None
    assert not list(job.run.clips.iterdir())
