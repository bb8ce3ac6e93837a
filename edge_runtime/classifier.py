"""A window of audio to the probabilities of the genres, by an exported model."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, without_offset
from edge_runtime.errors import InvalidAnswerError
from edge_runtime.golden_windows import check_golden, first_failure
from edge_runtime.interpreters import AUTO, Interpreter, ModelInput, open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram

log = logging.getLogger("tmgc.model")


class Classification(NamedTuple):
    """Probabilities of one window, and their latency."""

    probabilities: NDArray[np.float32]
    """``[shape=(n_genres,)], float32 in [0, 1]``, after temperature scaling; they sum to 1."""
    spectrogram_ms: float
    """About 0 for a model with waveform input, which contains the spectrogram."""
    model_ms: float

    @property
    def latency_ms(self) -> float:
        """Spectrogram and model together."""
        return self.spectrogram_ms + self.model_ms


MAX_INVALID = 3
"""Answers in a row that are not finite: then a model is not trusted any more."""


@dataclass
class ModelHealth:
    """Whether a model's answers are numbers."""

    invalid_in_a_row: int = 0
    """Answers with a probability that is not finite, since the last one without."""

    @property
    def failed(self) -> bool:
        """Whether there were :data:`MAX_INVALID` in a row."""
        return self.invalid_in_a_row >= MAX_INVALID


class GenreClassifier:
    """Classifies windows of audio with an exported model.

    Parameters
    ----------
    interpreter : Interpreter
    health : ModelHealth, optional
        Of an interpreter that classifiers share.

    Examples
    --------
    >>> classifier = GenreClassifier.open("demo.int8.tflite")          # doctest: +SKIP
    >>> classifier.classify(samples).probabilities                     # doctest: +SKIP
    """

    def __init__(self, interpreter: Interpreter, health: ModelHealth | None = None) -> None:
        self.interpreter = interpreter
        self.card: ModelCard = interpreter.card
        self.runtime = interpreter.runtime
        self.threads = interpreter.threads
        self.health = health or ModelHealth()
        self.spectrogram = Spectrogram(self.card.spectrogram, self.card.colormap_array)

    @classmethod
    def open(
        cls, path: str | Path, *, threads: int | None = None, engine: str = AUTO, trust: bool = False
    ) -> GenreClassifier:
        """Load a ``.tflite`` or ``.onnx`` file, and check that it computes its golden windows as when it was exported.

        With ``auto`` and several ways to run it (the file of the other format beside it, several libraries), the
        fastest is taken; a trial of each, in a process of its own, takes a few seconds when a file is opened for the
        first time.

        Parameters
        ----------
        path : str or Path
        threads : int > 0, optional
            All usable cores but one by default, at most four.
        engine : str
            ``auto``, ``litert``, ``tflite-runtime``, ``onnxruntime`` or ``openvino``.
        trust : bool
            Run it also where it computes something else, which is then logged; without a trial.

        Raises
        ------
        TmgcError
            The file is missing, truncated, changed since its export or without a model card, no installed library can
            run it, or each crashes or computes something else than the exporter did.
        """
        from edge_runtime.engine_choice import find_candidates, open_verified

        if not trust:
            return cls(open_verified(path, threads=threads, engine=engine).interpreter)
        first = find_candidates(Path(path), engine)[0]
        interpreter = open_interpreter(first.file, threads=threads, engine=first.engine)
        if failure := first_failure(check_golden(interpreter), interpreter.runtime):
            log.warning("%s is trusted although it fails: %s", first.file, failure)
        return cls(interpreter)

    def classify(self, samples: Samples, *, inner_power: NDArray[np.float32] | None = None) -> Classification:
        """Classify one window.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
            Mono, at ``card.spectrogram.sample_rate``. A constant offset above 5 % of the RMS is subtracted: windows of
            this package's sources have none, those of other recorders may.
        inner_power : np.ndarray [shape=(inner_frames, n_mels)], float32 >= 0, optional
            Mel power of the window's inner frames, if it is already known; the samples have no offset then.

        Returns
        -------
        classification : Classification

        Raises
        ------
        InvalidAnswerError
            A probability is not finite.
        """
        begun = perf_counter()
        if inner_power is None:
            samples = without_offset(samples)
        model_input = samples if self.card.input_kind == "waveform" else self.spectrogram.image(samples, inner_power)
        prepared = perf_counter()
        probabilities = self.predict(model_input)
        done = perf_counter()
        return Classification(probabilities, (prepared - begun) * 1e3, (done - prepared) * 1e3)

    def predict(self, model_input: ModelInput) -> NDArray[np.float32]:
        """The probabilities of one window as the model takes it.

        Parameters
        ----------
        model_input : np.ndarray [shape=card.input_shape]
            By ``card.input_kind`` an image, uint8, or a waveform, float32 in [-1, 1].

        Returns
        -------
        probabilities : np.ndarray [shape=(n_genres,)], float32 in [0, 1]
            After temperature scaling.

        Raises
        ------
        InvalidAnswerError
            One is not finite.
        """
        probabilities = self.interpreter.invoke(model_input)
        invalid = np.count_nonzero(~np.isfinite(probabilities))
        if invalid:
            self.health.invalid_in_a_row += 1
            raise InvalidAnswerError(
                f"probabilities must be finite: {invalid} of {len(probabilities)} by {self.runtime} are not. See: "
                "tmgc-listen doctor"
            )
        self.health.invalid_in_a_row = 0
        return with_temperature(probabilities, self.card.temperature)


def with_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Temperature scaling: the softmax of the logits divided by a temperature (Guo et al. 2017).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(..., n_genres)], float32 in [0, 1]
    temperature : float > 0
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, np.float32(1e-30))) / np.float32(temperature)
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    tempered: NDArray[np.float32] = scaled / scaled.sum(axis=-1, keepdims=True)
    return tempered
