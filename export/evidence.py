"""What the files of one call are held against: windows of a split, hard sounds, and what Keras says of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.audio import Samples
from edge_runtime.card import ModelCard
from edge_runtime.interpreters import ModelInput
from edge_runtime.spectrogram import Spectrogram
from export.keras_model import KerasModel
from export.parity import ParityReport, Probabilities, answers_of, compare, hard_answers
from export.pictures import ParityPictures, hard_sounds, parity_pictures
from train.corpus import Clip, Corpus


@dataclass(frozen=True)
class Evidence:
    """Pictures and Keras' answers; the files are asked about the same pictures, or about the sounds they show."""

    shown: ParityPictures
    keras: Probabilities
    hard: dict[str, Samples]
    hard_pictures: Sequence[ModelInput]
    keras_hard: Probabilities

    def report(self, file: Path, run_card: ModelCard, *, recipe: str, takes: str, threads: int) -> ParityReport:
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
        sounds = takes == "waveform"
        windows: Sequence[ModelInput] = list(self.shown.sounds if sounds else self.shown.pictures)
        hard: Sequence[ModelInput] = list(self.hard.values() if sounds else self.hard_pictures)
        said = answers_of(file, run_card, windows, hard, threads=threads)
        return compare(
            recipe,
            self.shown,
            self.keras,
            said.windows,
            takes=takes,
            card_differences=said.card_differences,
            hard_pictures=hard_answers(list(self.hard), run_card.genres, self.keras_hard, said.hard),
        )


def asked(model: KerasModel, corpus: Corpus, split: str, *, takes: str) -> Evidence:
    """Draw the windows of a split, and ask Keras about them."""
    shown = parity_pictures(corpus, split, with_sounds=takes == "waveform")
    hard = hard_sounds(corpus, split)
    pictures = drawn(corpus, list(hard.values()))
    return Evidence(shown, model.probabilities(shown.pictures), hard, list(pictures), model.probabilities(pictures))


def calibration_windows(corpus: Corpus, clips: Sequence[Clip], *, takes: str) -> ModelInput:
    """What shows a quantiser the network's activations.

    Returns
    -------
    windows : np.ndarray
        Pictures ``[shape=(n, image_height, image_width, 3)], uint8``, or waveforms
        ``[shape=(n, window_samples)], float32 in [-1, 1]``.
    """
    sounds = [corpus.samples(clip) for clip in clips]
    return np.stack(sounds) if takes == "waveform" else drawn(corpus, sounds)


def drawn(corpus: Corpus, sounds: Sequence[Samples]) -> Any:
    """The pictures of sounds, ``[shape=(n, image_height, image_width, 3)], uint8``."""
    spectrogram = Spectrogram(corpus.spectrogram, corpus.palette)
    return np.stack([spectrogram.image(samples) for samples in sounds])
