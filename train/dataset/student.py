"""The dataset of a student: songs, split and clips of another run, and images of a size of their own.

Clips are hard links, so that they take no room and stay when the other run is removed or prepared anew. Images are
computed from them. An interrupted call leaves complete files and no dataset; the next call makes what is missing.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from edge_runtime.files import atomic_write, check_writable
from edge_runtime.spectrogram import Colormap, Spectrogram
from train.dataset.dataset import Dataset, write_dataset
from train.dataset.extract import write_image
from train.progress import Reporter
from train.run import Run


def student_dataset(dataset: Dataset, run: Run, *, image_size: tuple[int, int], colormap: Colormap) -> Dataset:
    """The dataset of a student; nothing is written.

    Parameters
    ----------
    dataset : Dataset
        Of its teacher.
    run : Run
        Of the student.
    image_size : (int, int)
        Height and width, pixels.
    colormap : np.ndarray [shape=(256, n_channels)], uint8

    Raises
    ------
    TmgcError
        The size is out of range.
    """
    height, width = image_size
    spectrogram = replace(dataset.spectrogram, image_height=height, image_width=width)
    return replace(dataset, run=run, spectrogram=spectrogram, colormap=colormap)


def write_student(student: Dataset, dataset: Dataset, reporter: Reporter) -> None:
    """Write the dataset of a student, or what an earlier call has not written of it.

    Parameters
    ----------
    student : Dataset
        Of :func:`student_dataset`, always with the same settings for the same run.
    dataset : Dataset
        Of its teacher.
    reporter : Reporter

    Raises
    ------
    TmgcError
        The run cannot be written to, or a clip of the teacher's run is missing or damaged.
    """
    run = student.run
    check_writable(run.folder, run.clips, run.images)
    spectrogram = Spectrogram(student.spectrogram, student.colormap)
    for folder in (run.clips, run.images):
        folder.mkdir(exist_ok=True)
    missing = [
        clip for clip in student.clips if not clip.image_path(run).is_file() or not clip.audio_path(run).is_file()
    ]
    reporter.phase("computing images for the student", len(missing))
    for clip in missing:
        samples = dataset.samples(clip)
        _share(clip.audio_path(dataset.run), clip.audio_path(run))
        write_image(samples, clip.image_path(run), spectrogram)
        reporter.step({})
    write_dataset(student)


def _share(path: Path, name: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    name.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), name)
    except OSError:
        with atomic_write(name) as partial:
            shutil.copyfile(path, partial)
