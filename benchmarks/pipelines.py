"""From two seconds of an audio file to an answer, in the two steps that a benchmark times: read, then answer."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from benchmarks.rows import KERAS_PREDICT, ORIGINAL, RowSpec
from benchmarks.sound import Excerpt
from edge_runtime.audio import Samples, read_audio
from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from train.libraries import load_keras_model

if TYPE_CHECKING:
    import keras


class Answered(NamedTuple):
    """An answer, and where its time went."""

    genre: int
    """Index of the likeliest genre."""
    stages_ms: dict[str, float]


class Pipeline(Protocol):
    """One way from sound to an answer, loaded and ready."""

    runtime: str
    """Name and version of the library that runs the network."""

    def read(self, excerpt: Excerpt) -> Samples:
        """Decode two seconds of a file, at the rate that the pipeline works at."""

    def answer(self, samples: Samples) -> Answered:
        """Name the genre of such samples."""


class Laps:
    """A stopwatch that names the time since the lap before."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """End a stage."""
        now = perf_counter()
        self.stages_ms[name] = (now - self._last) * 1e3
        self._last = now


def open_pipeline(row: RowSpec, *, threads: int) -> Pipeline:
    """Import what a row needs, and load its model.

    Parameters
    ----------
    row : RowSpec
    threads : int > 0
        Threads of the network.
    """
    if row.pipeline == ORIGINAL:
        from benchmarks.original import OriginalPipeline

        return OriginalPipeline(row.model, threads=threads)
    if row.pipeline == KERAS_PREDICT:
        return KerasPipeline(row.model, ModelCard.read(row.card), threads=threads)
    return ExportPipeline(row.model, threads=threads)


class ExportPipeline:
    """An exported model, as ``tmgc-listen`` runs it."""

    def __init__(self, model: Path, *, threads: int) -> None:
        from edge_runtime.classifier import GenreClassifier

        self._classifier = GenreClassifier.open(model, threads=threads)
        self.runtime = self._classifier.runtime

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._classifier.card.spectrogram)

    def answer(self, samples: Samples) -> Answered:
        heard = self._classifier.classify(samples)
        stages = {"spectrogram": heard.spectrogram_ms, "model": heard.model_ms}
        return Answered(int(np.argmax(heard.probabilities)), stages)


class KerasPipeline:
    """The project's own spectrogram, then the trained network by Keras ``predict``."""

    def __init__(self, model: Path, card: ModelCard, *, threads: int) -> None:
        self._network, self.runtime = load_network(model, threads=threads)
        self._spectrogram = Spectrogram(card.spectrogram, card.palette_array)

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._spectrogram.settings)

    def answer(self, samples: Samples) -> Answered:
        laps = Laps()
        picture = self._spectrogram.image(samples)
        laps.lap("spectrogram")
        probabilities = self._network.predict(picture[np.newaxis], verbose=0)[0]
        genre = int(np.argmax(probabilities))
        laps.lap("model")
        return Answered(genre, laps.stages_ms)


def read_window(excerpt: Excerpt, settings: SpectrogramSettings) -> Samples:
    """Decode and resample a window of a file; what the file lacks at its end is silence.

    Returns
    -------
    samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    """
    samples = read_audio(
        excerpt.path,
        sample_rate=settings.sample_rate,
        start_seconds=excerpt.start_seconds,
        seconds=settings.window_seconds,
    )[: settings.window_samples]
    return np.pad(samples, (0, settings.window_samples - len(samples)))


def load_network(model: Path, *, threads: int) -> tuple[keras.Model, str]:
    """A trained network and the name of what runs it.

    Parameters
    ----------
    model : Path
        ``model.keras`` of a run.
    threads : int > 0
        TensorFlow's, within an operation and between operations.

    Raises
    ------
    TmgcError
        The file is missing.
    """
    if not model.is_file():
        raise TmgcError(f"this row needs the trained network: there is no {model}. Make it with tmgc-train fit")
    import keras
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    network = load_keras_model(model)
    return network, f"keras {keras.__version__}, tensorflow {tensorflow.__version__}"
