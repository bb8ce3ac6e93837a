"""What the files of one call are held against: windows of a split, hard sounds, and what Keras says of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import ModelInput
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from edge_runtime.windowing import hop_samples
from export.frontend import KerasModel
from export.parity import ParityInputs, ParityReport, Probabilities, answers_of, compare, hard_answers
from export.recipes import MOST_PARITY_WINDOWS, PARITY_WINDOWS
from train.dataset.dataset import Clip, Dataset

HOPS_SECONDS = (2.0, 1.0, 0.5, 0.25, 0.125)
"""Hops to try: the longest that gives enough windows overlaps least."""


def parity_inputs(dataset: Dataset, split: str, *, with_sounds: bool = False) -> ParityInputs:
    """At least 500 windows of a split's songs, or all that there are.

    Parameters
    ----------
    dataset : Dataset
    split : str
        ``validation`` or ``test``.
    with_sounds : bool
        Keep the sounds as well, which take more memory than their pictures.

    Raises
    ------
    TmgcError
        The split has no clip as long as a window.
    """
    counts = {clip.name: _samples_of(dataset, clip) for clip in dataset.of(split)}
    hop = next((hop for hop in HOPS_SECONDS if _windows(counts, dataset, hop) >= PARITY_WINDOWS), HOPS_SECONDS[-1])
    clips = [clip for clip in dataset.of(split) if counts[clip.name] >= dataset.spectrogram.window_samples]
    if not clips:
        raise TmgcError(f"parity needs clips of the {split} split: {dataset.run.folder} has none. Prepare more songs")
    if len(clips) > MOST_PARITY_WINDOWS:
        clips = [clips[index] for index in np.linspace(0, len(clips) - 1, MOST_PARITY_WINDOWS).astype(int)]
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    shown, sounds = [], []
    for clip, samples in dataset.windows(clips, hop_seconds=hop):
        shown.append((clip, spectrogram.image(samples)))
        if with_sounds:
            sounds.append(samples)
    return ParityInputs(
        split=split,
        hop_seconds=hop,
        pictures=np.stack([picture for _, picture in shown]),
        labels=dataset.labels([clip for clip, _ in shown]),
        clips=tuple(clip for clip, _ in shown),
        sounds=np.array(sounds, np.float32).reshape(len(sounds), dataset.spectrogram.window_samples),
    )


def stress_inputs(dataset: Dataset, split: str) -> dict[str, Samples]:
    """Sounds that no song of the dataset resembles, each a window long, by what they are."""
    settings = dataset.spectrogram
    _, music = next(dataset.windows(dataset.of(split), hop_seconds=settings.window_seconds))
    return {**_synthetic(settings), "clipped music": np.clip(music * np.float32(20.0), -1.0, 1.0)}


def _synthetic(settings: SpectrogramSettings) -> dict[str, Samples]:
    length = settings.window_samples
    seconds = np.arange(length) / settings.sample_rate
    noise = np.random.default_rng(0).uniform(-1.0, 1.0, length)
    return {
        "silence": np.zeros(length, np.float32),
        "full-scale noise": noise.astype(np.float32),
        "one tone": np.sin(2.0 * np.pi * 440.0 * seconds).astype(np.float32),
    }


def _samples_of(dataset: Dataset, clip: Clip) -> int:
    """Samples of the clip's sound at the model's rate, from the file's header."""
    import soundfile

    info: Any = soundfile.info(clip.audio_path(dataset.run))
    return int(info.frames * dataset.spectrogram.sample_rate // info.samplerate)


def _windows(counts: dict[str, int], dataset: Dataset, hop_seconds: float) -> int:
    settings = dataset.spectrogram
    hop = hop_samples(settings, hop_seconds)
    return sum(
        1 + (count - settings.window_samples) // hop for count in counts.values() if count >= settings.window_samples
    )


CALIBRATION_SEED = 2026
"""The same run gives the same clips, and so the same file."""


def calibration_clips(dataset: Dataset, count: int, *, seed: int = CALIBRATION_SEED) -> list[Clip]:
    """Clips of the training split, as many of one genre as of another (within one, where the genres have enough).

    Parameters
    ----------
    dataset : Dataset
    count : int > 0
        All are taken where there are fewer.
    seed : int

    Returns
    -------
    clips : list of Clip
        The genres take turns, so that no stretch of the list is all of one genre.

    Raises
    ------
    TmgcError
        The count is below one, or the run has no training clips.
    """
    if count < 1:
        raise TmgcError(f"--calibration must be at least 1 clip, got {count}")
    rng = np.random.default_rng(seed)
    training = dataset.of("train")
    if not training:
        raise TmgcError(f"calibration needs clips of the training split: {dataset.run.folder} has none")
    shuffled = []
    for genre in dataset.genres:
        clips = [clip for clip in training if clip.genre == genre]
        shuffled.append([clips[index] for index in rng.permutation(len(clips))])
    in_turn = (clip for turn in zip_longest(*shuffled) for clip in turn if clip is not None)
    return [clip for clip, _ in zip(in_turn, range(count), strict=False)]


@dataclass(frozen=True)
class ParityReference:
    """Pictures and Keras' answers; the files are asked about the same pictures, or about the sounds they show."""

    shown: ParityInputs
    keras: Probabilities
    hard: dict[str, Samples]
    hard_pictures: Sequence[ModelInput]
    keras_hard: Probabilities

    def report(self, file: Path, run_card: ModelCard, *, recipe: str, input_kind: str, threads: int) -> ParityReport:
        """How far a file's answers are from Keras'.

        Parameters
        ----------
        file : Path
        run_card : ModelCard
            What the file's card must say as well.
        recipe : str
            Name of the recipe, whose tolerances count.
        takes : str
            ``picture`` or ``waveform``: what the file takes.
        threads : int > 0
        """
        sounds = input_kind == "waveform"
        windows: Sequence[ModelInput] = list(self.shown.sounds if sounds else self.shown.pictures)
        hard: Sequence[ModelInput] = list(self.hard.values() if sounds else self.hard_pictures)
        said = answers_of(file, run_card, windows, hard, threads=threads)
        return compare(
            recipe,
            self.shown,
            self.keras,
            said.windows,
            input_kind=input_kind,
            card_differences=said.card_differences,
            hard_pictures=hard_answers(list(self.hard), run_card.genres, self.keras_hard, said.hard),
        )


def collect_reference(model: KerasModel, dataset: Dataset, split: str, *, input_kind: str) -> ParityReference:
    """Draw the windows of a split, and ask Keras about them."""
    shown = parity_inputs(dataset, split, with_sounds=input_kind == "waveform")
    hard = stress_inputs(dataset, split)
    pictures = drawn(dataset, list(hard.values()))
    return ParityReference(
        shown, model.probabilities(shown.pictures), hard, list(pictures), model.probabilities(pictures)
    )


def calibration_windows(dataset: Dataset, clips: Sequence[Clip], *, input_kind: str) -> ModelInput:
    """What shows a quantiser the network's activations.

    Returns
    -------
    windows : np.ndarray
        Pictures ``[shape=(n, image_height, image_width, 3)], uint8``, or waveforms
        ``[shape=(n, window_samples)], float32 in [-1, 1]``.
    """
    sounds = [dataset.samples(clip) for clip in clips]
    return np.stack(sounds) if input_kind == "waveform" else drawn(dataset, sounds)


def drawn(dataset: Dataset, sounds: Sequence[Samples]) -> Any:
    """The pictures of sounds, ``[shape=(n, image_height, image_width, 3)], uint8``."""
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    return np.stack([spectrogram.image(samples) for samples in sounds])
