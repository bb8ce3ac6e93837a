"""The clips that show a quantiser the network's activations: of the training split only, and balanced over genres."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from edge_runtime.errors import TmgcError
from train.corpus import Clip, Corpus

CALIBRATION_SEED = 2026
"""The same run gives the same clips, and so the same file."""


def calibration_clips(corpus: Corpus, count: int, *, seed: int = CALIBRATION_SEED) -> list[Clip]:
    """Clips of the training split, as many of one genre as of another (within one, where the genres have enough).

    Parameters
    ----------
    corpus : Corpus
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
    training = corpus.of("train")
    if not training:
        raise TmgcError(f"calibration needs clips of the training split: {corpus.run.folder} has none")
    shuffled = []
    for genre in corpus.genres:
        clips = [clip for clip in training if clip.genre == genre]
        shuffled.append([clips[index] for index in rng.permutation(len(clips))])
    in_turn = (clip for turn in zip_longest(*shuffled) for clip in turn if clip is not None)
    return [clip for clip, _ in zip(in_turn, range(count), strict=False)]
