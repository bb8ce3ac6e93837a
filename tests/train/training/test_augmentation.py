"""Each transform changes what it should, within its limits, and nothing when it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import tone
from train.training.augmentation import augment_waveform, limit_bandwidth, mixup, roll, spec_augment
from train.training.config import AUGMENTATIONS, Augmentation

OFF = Augmentation.only(())
RATE = 11_025


def ramp(count: int = 40_000) -> np.ndarray:
    """Samples whose value is their position."""
    return np.linspace(-0.5, 0.5, count, dtype=np.float32)


def test_nothing_changes_when_everything_is_off() -> None:
    varied = augment_waveform(ramp(), 5000, 22_050, sample_rate=RATE, augmentation=OFF, random=np.random.default_rng(0))
    np.testing.assert_array_equal(varied, ramp()[5000:27_050])
    assert not OFF.of_waveform


def test_a_shifted_clip_begins_elsewhere_and_no_farther_than_allowed() -> None:
    augmentation, random = replace(OFF, shift_seconds=0.5), np.random.default_rng(0)
    samples = ramp()
    starts = []
    for _ in range(200):
        varied = augment_waveform(samples, 8000, 22_050, sample_rate=RATE, augmentation=augmentation, random=random)
        starts.append(int(np.flatnonzero(samples == varied[0])[0]))
        np.testing.assert_array_equal(varied, samples[starts[-1] : starts[-1] + 22_050])
    assert 8000 - 5513 <= min(starts) < 8000 - 4000
    assert 8000 + 4000 < max(starts) <= 8000 + 5513


@pytest.mark.parametrize(("first", "length"), [(0, 22_050), (100, 39_900)])
def test_a_shift_stays_within_the_samples(first: int, length: int) -> None:
    augmentation = replace(OFF, shift_seconds=0.5)
    for seed in range(20):
        varied = augment_waveform(
            ramp(), first, length, sample_rate=RATE, augmentation=augmentation, random=np.random.default_rng(seed)
        )
        assert len(varied) == length


def test_gain_makes_a_clip_louder_or_softer_and_clips_it_at_full_scale() -> None:
    augmentation = replace(OFF, gain_db=12.0)
    samples = tone(2, sample_rate=RATE, level=0.5)
    peaks = [
        float(
            np.abs(
                augment_waveform(
                    samples, 0, 22_050, sample_rate=RATE, augmentation=augmentation, random=np.random.default_rng(seed)
                )
            ).max()
        )
        for seed in range(50)
    ]
    assert 0.125 <= min(peaks) < 0.2
    assert max(peaks) == 1.0


def test_noise_on_a_loud_clip_stays_within_full_scale() -> None:
    augmentation = replace(OFF, noise_share=1.0, noise_snr_db=(0.0, 0.0))
    loud = tone(2, sample_rate=RATE, level=1.0)
    noisy = augment_waveform(
        loud, 0, 22_050, sample_rate=RATE, augmentation=augmentation, random=np.random.default_rng(0)
    )
    assert np.abs(noisy - loud).max() > 0.1
    assert np.abs(noisy).max() == 1.0


def test_spec_augment_masks_whole_rows_and_columns_and_no_more_than_their_share() -> None:
    augmentation, random = replace(OFF, masks=2, mask_share=0.15), np.random.default_rng(0)
    hidden = []
    for _ in range(50):
        image = random.integers(100, 156, (40, 60)).astype(np.uint8)
        original, mean = image.copy(), round(float(image.mean()))
        spec_augment(image, augmentation=augmentation, random=random)
        changed = image != original
        assert (image[changed] == mean).all()
        rows, columns = (changed | (original == mean)).all(axis=1), (changed | (original == mean)).all(axis=0)
        assert not changed[~rows][:, ~columns].any()
        assert rows.sum() <= 2 * 6
        assert columns.sum() <= 2 * 9
        hidden.append(changed.mean())
    assert max(hidden) > 0.1


def test_a_limited_band_lacks_rows_at_the_top_and_perhaps_at_the_bottom_and_stays_relative_to_its_maximum() -> None:
    random, above, below = np.random.default_rng(0), [], []
    levels = np.linspace(100, 250, 100).round().astype(np.uint8)  # the loudest row is the lowest frequency
    for _ in range(200):
        image = np.repeat(levels[:, None], 30, axis=1)
        limit_bandwidth(image, random=random)
        kept = np.flatnonzero(image.any(axis=1))
        above.append(int(kept[0]))
        below.append(99 - int(kept[-1]))
        assert image.max() == 250
        lift = 250 - int(levels[kept[-1]])
        np.testing.assert_array_equal(image[kept, 0], levels[kept] + lift)
    assert (min(above), max(above)) == (0, 40)
    assert (min(below), max(below)) == (0, 8)
    assert 0.35 < np.mean(np.array(below) > 0) < 0.55


def test_a_limited_band_of_a_silent_image_is_silent() -> None:
    image = np.zeros((20, 30), np.uint8)
    limit_bandwidth(image, random=np.random.default_rng(0))
    assert not image.any()


def test_mixup_blends_images_and_targets_in_the_same_proportion() -> None:
    images = np.stack([np.full((4, 5), level, np.uint8) for level in (0, 100, 200)])
    mixed, targets = mixup(images, np.eye(3, dtype=np.float32), alpha=1.0, random=np.random.default_rng(0))
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0], targets @ [0, 100, 200], atol=0.51)
    assert (targets.max(axis=1) < 1).any()


def test_each_transform_can_be_used_alone() -> None:
    only = Augmentation.only(("noise",))
    assert only.noise_share > 0
    assert (only.shift_seconds, only.gain_db, only.masks, only.negative_share, only.mixup_alpha) == (0, 0, 0, 0, 0)
    assert only.bandwidth_share == 0
    assert replace(Augmentation.only(AUGMENTATIONS), bandwidth_share=0.0, roll=False) == Augmentation()
    assert Augmentation.only(("bandwidth",)) == replace(OFF, bandwidth_share=0.5)
    assert Augmentation.only(("roll",)) == replace(OFF, roll=True)
    for names in ((), ("noise",), ("roll", "mixup"), AUGMENTATIONS):
        assert Augmentation.only(names).names == names


@pytest.mark.parametrize("held", [np.arange(60, dtype=np.uint8).reshape(2, 3, 10), ramp(20).reshape(2, 10)])
def test_a_rolled_clip_is_rotated_along_time_and_each_of_a_batch_by_another_amount(held: np.ndarray) -> None:
    random, steps = np.random.default_rng(0), set()
    for _ in range(200):
        rolled = held.copy()
        roll(rolled, random=random)
        pair = tuple(int(np.argmin(clip.reshape(-1, 10)[0])) for clip in rolled)
        for clip, original, step in zip(rolled, held, pair, strict=True):
            np.testing.assert_array_equal(clip, np.roll(original, step, axis=-1))
        steps.add(pair)
    assert {step for pair in steps for step in pair} == set(range(10))
    assert any(one != other for one, other in steps)
