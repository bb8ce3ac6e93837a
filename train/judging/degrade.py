"""How a model stands low-quality sound: its accuracy on the same clips under each kind of degradation."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.spectrogram import Spectrogram
from train.corpus import Clip, Corpus
from train.judging.degradations import DEGRADATIONS, Degradation
from train.judging.scores import judge
from train.judging.unknown import Predict
from train.progress import Reporter

_BATCH = 64
"""Clips whose sound and pictures are in memory at a time."""


@dataclass(frozen=True)
class Degraded:
    """Accuracy on sound of one kind."""

    name: str
    """Of the degradation."""
    clips: int
    clip_accuracy: float
    """Share of clips that were named right, in [0, 1]."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""


def degrade(corpus: Corpus, clips: list[Clip], predict: Predict, reporter: Reporter) -> tuple[Degraded, ...]:
    """Judge a model on the sound of clips as it is, and under each of ``DEGRADATIONS``.

    What is done to a clip is done to its margins too, before the clip is cut from them: filters, codecs and echoes
    are then in full swing when it begins, and a clip that is played too fast does not end too early.

    Parameters
    ----------
    corpus : Corpus
    clips : list of Clip
        Of one split.
    predict : callable
        Pictures to probabilities; called with at most 64 at a time.
    reporter : Reporter

    Returns
    -------
    rows : tuple of Degraded
        The first is of the sound as it is, from the same files as the others.

    Raises
    ------
    TmgcError
        The sound of a clip is missing or damaged.
    """
    spectrogram = Spectrogram(corpus.spectrogram, corpus.palette)
    probabilities: dict[str, list[NDArray[np.float32]]] = {kind.name: [] for kind in DEGRADATIONS}
    batches = [clips[first : first + _BATCH] for first in range(0, len(clips), _BATCH)]
    reporter.phase("judging degraded sound", len(batches) * len(DEGRADATIONS))
    for batch in batches:
        sounds = [corpus.sound(clip) for clip in batch]
        for kind in DEGRADATIONS:
            degraded = (degraded_clip(corpus, clip, sound, kind) for clip, sound in zip(batch, sounds, strict=True))
            probabilities[kind.name].append(predict(np.stack([spectrogram.image(samples) for samples in degraded])))
            reporter.step({})
    rows = []
    for name, parts in probabilities.items():
        judged = judge(np.concatenate(parts), clips, corpus.genres, split=clips[0].split)
        rows.append(Degraded(name, judged.clips, judged.clip_accuracy, judged.clip_interval))
    return tuple(rows)


def degraded_clip(corpus: Corpus, clip: Clip, sound: Samples, kind: Degradation) -> Samples:
    """One degraded clip, the same whenever it is asked for.

    Parameters
    ----------
    corpus : Corpus
    clip : Clip
    sound : np.ndarray [shape=(n,)], float32 in [-1, 1]
        The clip with its margins.
    kind : Degradation

    Returns
    -------
    samples : np.ndarray [shape=(window_samples,)], float32
        From the same moment of the music on. Where a song ends with its clip, the last hundredths of a second that a
        clip played too fast then lacks are its end, mirrored.
    """
    rate, length = corpus.spectrogram.sample_rate, corpus.spectrogram.window_samples
    degraded = kind.apply(sound, rate, np.random.default_rng([*os.fsencode(clip.name)]))
    first = round(clip.lead_seconds * rate * len(degraded) / len(sound))
    samples = degraded[first : first + length]
    return np.pad(samples, (0, length - len(samples)), mode="reflect")
