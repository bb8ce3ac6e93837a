"""A teacher's outputs are computed once for the windows that training draws, and kept in the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from edge_runtime.audio import Samples
from train.dataset.dataset import Dataset
from train.dataset.folds import fold_datasets, write_fold
from train.dataset.inputs import NetworkInputs
from train.progress import Reporter
from train.teachers import Teacher, Teachers
from train.training.config import Augmentation
from train.training.data import Split, TrainingBatches
from train.training.distillation import soft_labels
from train.training.teacher_targets import TeacherTargets, ask_teacher

SHIFTED = replace(Augmentation.only(()), shift_seconds=0.5)


class Listener:
    """A teacher whose outputs are the first sample of a window and its mean square; it counts what it is asked."""

    name, licence = "listener", ""
    target_names: tuple[str, ...] = ("first", "power")

    def __init__(self, sample_rate: int, *, gain: float = 1.0) -> None:
        self.sample_rate, self.gain, self.asked = sample_rate, gain, 0
        self.weights_sha256 = f"of {gain}"

    def targets(self, windows: Samples) -> np.ndarray:
        self.asked += len(windows)
        return self.gain * np.stack([windows[:, 0], np.square(windows).mean(axis=1)], axis=1)


def ask(
    dataset: Dataset,
    teacher: Teacher,
    *others: Teacher,
    reporter: Reporter | None = None,
    shift_seconds: float = 0.5,
) -> TeacherTargets:
    negatives = [np.full(dataset.spectrogram.window_samples, 0.5, np.float32)]
    augmentation = replace(SHIFTED, shift_seconds=shift_seconds)
    return ask_teacher(
        dataset,
        dataset.of("train"),
        negatives,
        Teachers([teacher, *others]),
        label_weight=0.1,
        augmentation=augmentation,
        reporter=reporter or Reporter(),
    )


@pytest.fixture
def teacher(small_dataset: Dataset) -> Listener:
    return Listener(small_dataset.spectrogram.sample_rate)


def test_targets_are_those_of_the_windows_at_five_shifts(small_dataset: Dataset, teacher: Listener) -> None:
    targets, clips = ask(small_dataset, teacher), small_dataset.of("train")
    rate, length = small_dataset.spectrogram.sample_rate, small_dataset.spectrogram.window_samples
    assert targets.shifts[2] == 0
    np.testing.assert_allclose(targets.shifts / rate, [-0.5, -0.25, 0, 0.25, 0.5], atol=1e-3)
    for clip, of_shifts in zip(clips, targets.of_clips, strict=True):
        audio = small_dataset.audio(clip)
        for shift, said in zip(targets.shifts, of_shifts, strict=True):
            begin = round(clip.lead_seconds * rate) + shift
            if 0 <= begin <= len(audio) - length:
                assert said[0] == pytest.approx(audio[begin], abs=1e-3)
            else:
                assert np.isinf(said).all()
    np.testing.assert_allclose(targets.of_negatives, [[0.5, 0.25]])


def test_a_window_beyond_the_margins_is_never_drawn(small_dataset: Dataset, teacher: Listener) -> None:
    clip = small_dataset.of("train")[0]
    begin = round(clip.lead_seconds * small_dataset.spectrogram.sample_rate)
    audio = small_dataset.audio(clip)[begin:]
    soundfile.write(clip.audio_path(small_dataset.run), audio, small_dataset.spectrogram.sample_rate)
    clips = tuple(replace(other, lead_seconds=0.0) if other == clip else other for other in small_dataset.clips)
    targets, random = ask(replace(small_dataset, clips=clips), teacher), np.random.default_rng(0)
    drawn = {int(targets.draw(np.array([0, 1]), random)[0]) for _ in range(100)}
    assert {2} <= drawn <= {2, 3, 4}
    none, first = np.zeros((100, 3), np.float32), np.zeros(100, int)
    assert np.isfinite(targets.taught(none, first, targets.draw(first, random))).all()


def test_the_clips_alone_are_heard_where_nothing_is_shifted(small_dataset: Dataset, teacher: Listener) -> None:
    assert ask(small_dataset, teacher, shift_seconds=0.0).shifts.tolist() == [0]


def test_the_teacher_is_asked_once(small_dataset: Dataset, teacher: Listener) -> None:
    first = ask(small_dataset, teacher)
    asked, teacher.asked = teacher.asked, 0
    again = ask(small_dataset, teacher)
    np.testing.assert_array_equal(first.of_clips, again.of_clips)
    assert teacher.asked == 1 < asked, "the negative"


def test_an_interrupted_computation_continues_where_it_was(small_dataset: Dataset, teacher: Listener) -> None:
    class Interruption(Reporter):
        def step(self, values: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(small_dataset, teacher, reporter=Interruption())
    teacher.asked = 0
    targets = ask(small_dataset, teacher)
    assert not np.isnan(targets.of_clips).any()
    assert teacher.asked < 5 * len(small_dataset.of("train")) - 5 * 10


def test_folds_share_what_the_teacher_says(small_dataset: Dataset, teacher: Listener) -> None:
    folds = fold_datasets(small_dataset, 4, split_ratios=(0.8, 0.1, 0.1), seed=0)
    for fold in folds:
        write_fold(fold)
        targets = ask(fold, teacher)
        rate = fold.spectrogram.sample_rate
        expected = [fold.audio(clip)[round(clip.lead_seconds * rate)] for clip in fold.of("train")]
        np.testing.assert_allclose(targets.of_clips[:, 2, 0], expected, atol=2e-3)
    assert teacher.asked <= 5 * len(small_dataset.clips) + len(folds), "a window is asked once, and a negative by each"
    (stored,) = small_dataset.run.teacher_targets.rglob("*.npy")
    assert stored.samefile(folds[3].run.teacher_targets / stored.relative_to(small_dataset.run.teacher_targets))


@pytest.mark.parametrize("change", ["clips", "shifts", "teacher", "file"])
def test_targets_that_do_not_fit_are_computed_anew(change: str, small_dataset: Dataset, teacher: Listener) -> None:
    ask(small_dataset, teacher)
    (stored,) = small_dataset.run.teacher_targets.rglob("*.npy")
    dataset, shift_seconds = small_dataset, 0.5
    if change == "clips":
        dataset = replace(dataset, clips=dataset.clips[1:])
    elif change == "shifts":
        shift_seconds = 0.2
    elif change == "teacher":
        teacher = Listener(teacher.sample_rate, gain=-3.0)
    else:
        stored.write_bytes(stored.read_bytes()[:200])
    targets = ask(dataset, teacher, shift_seconds=shift_seconds)
    rate = dataset.spectrogram.sample_rate
    expected = [teacher.gain * dataset.audio(clip)[round(clip.lead_seconds * rate)] for clip in dataset.of("train")]
    np.testing.assert_allclose(targets.of_clips[:, 2, 0], expected, atol=2e-3)
    assert len(list(dataset.run.teacher_targets.rglob("*.npy"))) == 1


@pytest.mark.parametrize("mixed", [False, True])
def test_the_targets_of_a_batch_are_those_of_its_windows(
    mixed: bool, small_dataset: Dataset, teacher: Listener
) -> None:
    """Of waveforms the teacher's outputs can be told; the mean square of a blend cannot."""
    targets = ask(small_dataset, teacher)
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "waveform"))
    batches = TrainingBatches(
        split,
        batch_size=12,
        augmentation=replace(SHIFTED, mixup_alpha=0.3 * mixed),
        weighted=True,
        negatives=split.held[:1],
        seed=0,
        teacher=targets,
    )
    windows, labels, weights = batches[0]
    assert labels.shape == (12, len(small_dataset.genres) + 2)
    np.testing.assert_allclose(labels[:, -2], targets.scaling(teacher.targets(windows))[:, 0], atol=5e-3)
    np.testing.assert_allclose(labels[:, :-2].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights, np.ones(12), rtol=1e-5)  # every song has as many clips


class Knower(Listener):
    """A teacher of the genres in an order of its own, whose first genre is as probable as a window is loud."""

    name, target_names = "knower", ("Rock", "Caz", "Halk")

    def targets(self, windows: Samples) -> np.ndarray:
        loud = 0.3 + 0.5 * np.sqrt(np.square(windows).mean(axis=1))
        probabilities = np.stack([loud, 0.6 * (1 - loud), 0.4 * (1 - loud)], axis=1)
        return np.asarray(np.log(probabilities))


def test_probabilities_are_mixed_into_the_labels_and_other_outputs_follow_them(
    small_dataset: Dataset, teacher: Listener
) -> None:
    knower = Knower(teacher.sample_rate)
    targets = ask(small_dataset, knower, teacher)
    assert [each.learned for each in targets.teachers] == ["probabilities", "targets"]
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "waveform"))
    negatives = np.full((1, small_dataset.spectrogram.window_samples), 0.5, np.float32)
    batches = TrainingBatches(
        split,
        batch_size=36,
        augmentation=replace(SHIFTED, negative_share=0.3),
        weighted=True,
        negatives=negatives,
        seed=0,
        teacher=targets,
    )
    windows, labels, _ = batches[0]
    assert small_dataset.genres == ("Caz", "Halk", "Rock")
    negative = (windows == 0.5).all(axis=1)
    np.testing.assert_allclose(labels[negative, :3], 1 / 3, rtol=1e-6)
    soft = soft_labels(knower.targets(windows[~negative])[:, None, [1, 2, 0]])
    of_labels = (labels[~negative, :3] - 0.9 * soft) / 0.1
    np.testing.assert_allclose(of_labels.max(axis=1), 1, atol=1e-2)
    np.testing.assert_allclose(of_labels.sum(axis=1), 1, atol=1e-2)
    np.testing.assert_allclose(labels[:, 3:], targets.scaling(teacher.targets(windows)), atol=2e-2)


def test_each_teacher_is_kept_for_itself(small_dataset: Dataset, teacher: Listener) -> None:
    knower = Knower(teacher.sample_rate)
    ask(small_dataset, knower, teacher)
    teacher.asked = 0
    ask(small_dataset, Knower(teacher.sample_rate, gain=2.0), teacher)
    assert teacher.asked == 1, "the negative"


def test_negatives_have_the_teachers_targets(small_dataset: Dataset, teacher: Listener) -> None:
    targets = ask(small_dataset, teacher)
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "waveform"))
    negatives = np.full((1, small_dataset.spectrogram.window_samples), 0.5, np.float32)
    augmentation = replace(SHIFTED, negative_share=0.5)
    batches = TrainingBatches(
        split, batch_size=36, augmentation=augmentation, weighted=True, negatives=negatives, seed=0, teacher=targets
    )
    windows, labels, _ = batches[0]
    replaced = (windows == 0.5).all(axis=1)
    assert 5 < replaced.sum() < 31
    expected = [1 / 3, 1 / 3, 1 / 3, *targets.scaling(targets.of_negatives)[0]]
    np.testing.assert_allclose(labels[replaced], np.tile(expected, (replaced.sum(), 1)), rtol=1e-5)
