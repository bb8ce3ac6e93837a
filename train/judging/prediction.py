"""What a run's network says of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from train.corpus import Clip, Corpus
from train.libraries import load_keras_model
from train.progress import Reporter

_CLIPS_AT_ONCE = 256
"""Their pictures are in memory together: 37 MB at 224 x 224."""


class Predictor:
    """The network of a run: uint8 pictures to probabilities, before any temperature.

    Parameters
    ----------
    corpus : Corpus
        Of a trained run.
    batch_size : int > 0

    Raises
    ------
    TmgcError
        The model cannot be read, or was made for other pictures or genres.
    """

    def __init__(self, corpus: Corpus, *, batch_size: int = 32) -> None:
        self._corpus, self._batch_size = corpus, batch_size
        self._network = _load(corpus)

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of pictures.

        Parameters
        ----------
        pictures : np.ndarray [shape=(n, image_height, image_width, 3)], uint8

        Returns
        -------
        probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]

        Raises
        ------
        TmgcError
            The network answers with what is no number.
        """
        said = self._network.predict(pictures, batch_size=self._batch_size, verbose=0)
        probabilities = np.asarray(said, np.float32)
        if not np.isfinite(probabilities).all():
            raise TmgcError(
                f"a network's answers must be numbers: {self._corpus.run.model} gives others (NaN or infinity), so its "
                "training went astray. Run tmgc-train fit again, with a lower --learning-rate"
            )
        return probabilities

    def of_clips(self, clips: Sequence[Clip], reporter: Reporter) -> NDArray[np.float32]:
        """Probabilities of clips, ``[shape=(n_clips, n_genres)], float32 in [0, 1]``, by some hundreds at a time."""
        answers = []
        for first in range(0, len(clips), _CLIPS_AT_ONCE):
            chunk = clips[first : first + _CLIPS_AT_ONCE]
            answers.append(self(self._corpus.pictures(chunk)))
            for _ in chunk:
                reporter.step({})
        return np.concatenate(answers)


def _load(corpus: Corpus) -> Any:
    path = corpus.run.model
    network = load_keras_model(path)
    settings = corpus.spectrogram
    wanted = (None, settings.image_height, settings.image_width, 3), (None, len(corpus.genres))
    found = tuple(network.input_shape), tuple(network.output_shape)
    if found != wanted:
        raise TmgcError(
            f"a run's model takes pictures of {wanted[0][1:]} and answers for {len(corpus.genres)} genres: {path} has "
            f"shapes {found[0]} and {found[1]}. Run: tmgc-train fit"
        )
    return network
