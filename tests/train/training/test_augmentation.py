"""Variations change what they should, by as much as they say, and nothing when they are off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import tone
from train.training.augmentation import augment_waveform, mask, mix
from train.training.config import AUGMENTATIONS, Augmentation

OFF = Augmentation.only(())
RATE = 11_025


def ramp(count: int = 40_000) -> np.ndarray:
    """Samples that tell where they come from."""
    return np.linspace(-0.5, 0.5, count, dtype=np.float32)


def test_nothing_changes_when_everything_is_off() -> None:
    varied = augment_waveform(ramp(), 5000, 22_050, sample_rate=RATE, how=OFF, random=np.random.default_rng(0))
    np.testing.assert_array_equal(varied, ramp()[5000:27_050])
    assert not OFF.varies_sound


def test_a_shifted_clip_is_another_moment_of_its_song_and_no_farther_than_asked() -> None:
    how, random = replace(OFF, shift_seconds=0.5), np.random.default_rng(0)
    sound = ramp()
    starts = []
    for _ in range(200):
        varied = augment_waveform(sound, 8000, 22_050, sample_rate=RATE, how=how, random=random)
        starts.append(int(np.flatnonzero(sound == varied[0])[0]))
        np.testing.assert_array_equal(varied, sound[starts[-1] : starts[-1] + 22_050])
    assert 8000 - 5513 <= min(starts) < 8000 - 4000
    assert 8000 + 4000 < max(starts) <= 8000 + 5513


@pytest.mark.parametrize(("first", "length"), [(0, 22_050), (100, 39_900)])
def test_a_shift_stays_within_the_sound_there_is(first: int, length: int) -> None:
    how = replace(OFF, shift_seconds=0.5)
    for seed in range(20):
        varied = augment_waveform(ramp(), first, length, sample_rate=RATE, how=how, random=np.random.default_rng(seed))
        assert len(varied) == length


def test_gain_makes_it_louder_and_softer_and_clips_at_full_scale() -> None:
    how = replace(OFF, gain_db=12.0)
    sound = tone(2, sample_rate=RATE, level=0.5)
    peaks = [
        float(
            np.abs(
                augment_waveform(sound, 0, 22_050, sample_rate=RATE, how=how, random=np.random.default_rng(seed))
            ).max()
        )
        for seed in range(50)
    ]
    assert 0.125 <= min(peaks) < 0.2
    assert max(peaks) == 1.0


def test_masks_hide_whole_rows_and_columns_and_no_more_than_their_share() -> None:
    how, random = replace(OFF, masks=2, mask_share=0.15), np.random.default_rng(0)
    hidden = []
    for _ in range(50):
        picture = random.integers(100, 156, (40, 60)).astype(np.uint8)
        original, mean = picture.copy(), round(float(picture.mean()))
        mask(picture, how=how, random=random)
        changed = picture != original
        assert (picture[changed] == mean).all()
        rows, columns = (changed | (original == mean)).all(axis=1), (changed | (original == mean)).all(axis=0)
        assert not changed[~rows][:, ~columns].any()
        assert rows.sum() <= 2 * 6
        assert columns.sum() <= 2 * 9
        hidden.append(changed.mean())
    assert max(hidden) > 0.1


def test_mixed_pictures_and_their_genres_have_the_same_shares() -> None:
    grey = np.stack([np.full((4, 5), level, np.uint8) for level in (0, 100, 200)])
    mixed, targets = mix(grey, np.eye(3, dtype=np.float32), alpha=1.0, random=np.random.default_rng(0))
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0], targets @ [0, 100, 200], atol=0.51)
    assert (targets.max(axis=1) < 1).any()


def test_each_variation_can_be_left_on_alone() -> None:
    only = Augmentation.only(("noise",))
    assert only.noise_share > 0
    assert (only.shift_seconds, only.gain_db, only.masks, only.impostor_share, only.mixup_alpha) == (0, 0, 0, 0, 0)
    assert Augmentation.only(AUGMENTATIONS) == Augmentation()
