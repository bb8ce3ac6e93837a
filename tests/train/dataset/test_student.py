"""A student has the clips of its teacher and images of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram
from tests.factories import tiny_dataset, write_songs
from train.dataset.build import named_colormap
from train.dataset.dataset import Dataset, read_dataset
from train.dataset.student import student_dataset, write_student
from train.progress import Reporter
from train.run import Run


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return tiny_dataset(write_songs(tmp_path / "songs", songs=3, seconds=5.0), tmp_path / "teacher")


def small(dataset: Dataset) -> Dataset:
    run = Run(dataset.run.folder.parent / "student")
    run.folder.mkdir(exist_ok=True)
    return student_dataset(dataset, run, image_size=(20, 30), colormap=named_colormap("gray"))


def test_its_images_are_computed_from_the_clips(dataset: Dataset) -> None:
    write_student(small(dataset), dataset, Reporter())
    student = read_dataset(small(dataset).run)
    assert student.fingerprint() == small(dataset).fingerprint() != dataset.fingerprint()
    clip = student.clips[5]
    expected = Spectrogram(student.spectrogram, student.colormap).index_image(dataset.samples(clip))
    np.testing.assert_array_equal(student.index_images([clip])[0], expected)
    assert student.images([clip]).shape == (1, 20, 30, 1)


def test_it_stays_when_its_teacher_is_removed(dataset: Dataset) -> None:
    write_student(small(dataset), dataset, Reporter())
    heard = dataset.audio(dataset.clips[0])
    shutil.rmtree(dataset.run.folder)
    student = read_dataset(small(dataset).run)
    np.testing.assert_array_equal(student.audio(student.clips[0]), heard)


def test_clips_are_copied_where_there_are_no_hard_links(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    write_student(small(dataset), dataset, Reporter())
    for clip in dataset.clips:
        copied = clip.audio_path(small(dataset).run)
        assert copied.read_bytes() == clip.audio_path(dataset.run).read_bytes()


def test_an_interrupted_student_continues_and_is_no_run_before(dataset: Dataset) -> None:
    class Interruption(Reporter):
        steps = 0

        def step(self, values: object) -> None:
            self.steps += 1
            if self.steps == 4:
                raise KeyboardInterrupt

    class Counting(Reporter):
        steps = -1

        def phase(self, name: str, steps: int) -> None:
            self.steps = steps

    student, counting = small(dataset), Counting()
    with pytest.raises(KeyboardInterrupt):
        write_student(student, dataset, Interruption())
    assert not student.run.dataset_csv.exists()
    write_student(student, dataset, counting)
    assert counting.steps == len(dataset.clips) - 4
    read_dataset(student.run)


def test_a_clip_that_is_missing_is_named(dataset: Dataset) -> None:
    path = dataset.clips[2].audio_path(dataset.run)
    path.unlink()
    with pytest.raises(TmgcError, match=path.name):
        write_student(small(dataset), dataset, Reporter())
