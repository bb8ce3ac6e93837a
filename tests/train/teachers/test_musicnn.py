"""The rebuilt network computes what the published one does, and only that wheel is accepted."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from edge_runtime import TmgcError
from tests.conftest import MUSIC, tone
from train.teachers import hearing, musicnn
from train.teachers.musicnn import (
    MSD_TAGS,
    MTT_TAGS,
    SAMPLE_RATE,
    WHEEL,
    WINDOW_SAMPLES,
    Musicnn,
    read_networks,
)

REFERENCE = MUSIC.parent / "teacher" / "msd_musicnn_reference.npz"


def windows_of(paths: list[Path]) -> NDArray[np.float32]:
    """The first window of each file at 16 kHz, ``[shape=(n, WINDOW_SAMPLES)]``."""
    heard = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        resampled = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)[:WINDOW_SAMPLES]
        heard.append(np.pad(resampled, (0, WINDOW_SAMPLES - len(resampled))))
    return np.stack(heard)


def test_it_agrees_with_the_published_network(
    wheel: Path, labelled_music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not REFERENCE.is_file():
        pytest.skip(f"no outputs of the published network: there is no {REFERENCE}")
    monkeypatch.setattr(musicnn, "at_level", lambda waveform: waveform)  # as the reference was made
    network = read_networks(wheel)
    with np.load(REFERENCE) as reference:
        windows = windows_of([labelled_music / name for name in reference["clip"]])
        expected = np.concatenate([reference["penultimate"], reference["logits"]], axis=1)
    np.testing.assert_allclose(np.asarray(network(windows))[:, : expected.shape[1]], expected, atol=1e-3)


def test_its_spectrogram_has_the_statistics_that_the_network_was_trained_on(wheel: Path, labelled_music: Path) -> None:
    windows = windows_of(sorted(labelled_music.glob("*/*.flac"))[::10])
    network = read_networks(wheel)
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    mean, variance = (float(each[0]) for each in first.get_weights()[2:])
    log_mel = np.asarray(musicnn.log_mel(musicnn.at_level(windows)))
    assert log_mel.mean() == pytest.approx(mean, abs=0.3)
    assert log_mel.var() == pytest.approx(variance, rel=0.3)


def test_it_hears_the_same_at_every_level(musicnn: Musicnn) -> None:
    loud = tone(2, sample_rate=SAMPLE_RATE, level=0.5)[np.newaxis]
    np.testing.assert_allclose(musicnn.targets(loud * np.float32(0.01)), musicnn.targets(loud), atol=2e-3)


def test_silence_has_finite_targets(musicnn: Musicnn) -> None:
    assert np.isfinite(musicnn.targets(np.zeros((1, WINDOW_SAMPLES), np.float32))).all()


def test_targets_are_named_and_do_not_depend_on_the_batch(musicnn: Musicnn) -> None:
    windows = np.random.default_rng(0).normal(0, 0.1, (35, WINDOW_SAMPLES)).astype(np.float32)
    targets = musicnn.targets(windows)
    assert targets.shape == (35, len(musicnn.target_names)) == (35, 500)
    np.testing.assert_allclose(musicnn.targets(windows[33:34])[0], targets[33], atol=1e-4)


def test_windows_of_another_rate_are_resampled(musicnn: Musicnn) -> None:
    at_44100 = tone(2, sample_rate=44_100)[np.newaxis]
    heard = hearing(musicnn, 44_100)(at_44100)
    np.testing.assert_allclose(heard, musicnn.targets(tone(2, sample_rate=SAMPLE_RATE)[np.newaxis]), atol=0.1)


def test_a_jazz_recording_has_more_of_the_tag_jazz_than_a_metal_one(musicnn: Musicnn, labelled_music: Path) -> None:
    jazz, metal = (windows_of(sorted(labelled_music.glob(f"{genre}/*.flac"))[:10]) for genre in ("jazz", "metal"))
    column = musicnn.target_names.index("jazz")
    assert musicnn.target_names[column:250] == MSD_TAGS[MSD_TAGS.index("jazz") :]
    assert musicnn.targets(jazz)[:, column].mean() > musicnn.targets(metal)[:, column].mean() + 1


def test_an_orchestra_has_more_of_the_tag_classical_than_metal_has(musicnn: Musicnn, labelled_music: Path) -> None:
    classical, metal = (
        windows_of(sorted(labelled_music.glob(f"{genre}/*.flac"))[:10]) for genre in ("classical", "metal")
    )
    column = musicnn.target_names.index("mtt:classical")
    assert column == len(musicnn.target_names) - len(MTT_TAGS) + MTT_TAGS.index("classical")
    assert musicnn.targets(classical)[:, column].mean() > musicnn.targets(metal)[:, column].mean() + 1


def test_the_licence_goes_with_the_teacher(musicnn: Musicnn) -> None:
    assert "Universitat Pompeu Fabra 2019" in musicnn.licence
    assert "this permission notice appear in all copies" in musicnn.licence


def test_a_damaged_cache_is_not_used(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = WHEEL.fetch(wheel)
    with cached.open("r+b") as file:
        file.seek(20_000_000)
        file.write(b"\0\0\0\0")
    with pytest.raises(TmgcError, match="another or a damaged file"):
        Musicnn(cached)
