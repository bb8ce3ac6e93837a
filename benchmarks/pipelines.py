"""From two seconds of an audio file to an answer, in the two steps that a benchmark times: read, then answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import KERAS_COMPILED, KERAS_PREDICT, ORIGINAL, TFLITE_RUNTIME, RowSpec
from benchmarks.inputs import Excerpt
from edge_runtime.audio import Samples, read_audio
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
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

    def prediction(self, samples: Samples) -> Answered:
        """Name the genre of such samples."""

    def answer_all(self, batch: Sequence[Samples]) -> list[Answered]:
        """Name the genres of several windows, at once where the library can; each has its share of the time."""


class Laps:
    """A stopwatch that names the time since the lap before.

    Parameters
    ----------
    windows : int > 0
        Among which the time is shared.
    """

    def __init__(self, *, windows: int = 1) -> None:
        self.stages_ms: dict[str, float] = {}
        self._windows = windows
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """End a stage."""
        now = perf_counter()
        self.stages_ms[name] = (now - self._last) * 1e3 / self._windows
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
        from benchmarks.reference import OriginalPipeline

        return OriginalPipeline(row.model, threads=threads)
    if row.pipeline == KERAS_PREDICT:
        return KerasPipeline(row.model, ModelCard.read(row.card), threads=threads)
    if row.pipeline == KERAS_COMPILED:
        return CompiledPipeline(row.model, ModelCard.read(row.card), threads=threads)
    if row.pipeline == TFLITE_RUNTIME:
        # What cannot be imported is passed over: the next interpreter is then tflite-runtime.
        sys.modules["ai_edge_litert.interpreter"] = None  # type: ignore[assignment]
    return ExportPipeline(row.model, threads=threads)


class ExportPipeline:
    """An exported model, as ``tmgc-listen`` runs it: one window after another, whatever waits."""

    def __init__(self, model: Path, *, threads: int) -> None:
        from edge_runtime.classifier import GenreClassifier

        self._classifier = GenreClassifier.open(model, threads=threads)
        self.runtime = self._classifier.runtime

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._classifier.card.spectrogram)

    def prediction(self, samples: Samples) -> Answered:
        heard = self._classifier.classify(samples)
        laps = Laps()
        genre = int(np.argmax(heard.probabilities))
        laps.lap("decision")
        stages = {"spectrogram": heard.spectrogram_ms, "model": heard.model_ms}
        return Answered(genre, stages | laps.stages_ms)

    def answer_all(self, batch: Sequence[Samples]) -> list[Answered]:
        return [self.prediction(samples) for samples in batch]


class KerasPipeline:
    """The project's own spectrogram, then the trained network by Keras ``predict``."""

    def __init__(self, model: Path, card: ModelCard, *, threads: int) -> None:
        self._network, self.runtime = load_network(model, threads=threads)
        self._spectrogram = Spectrogram(card.spectrogram, card.colormap_array)

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._spectrogram.settings)

    def prediction(self, samples: Samples) -> Answered:
        return self.answer_all([samples])[0]

    def answer_all(self, batch: Sequence[Samples]) -> list[Answered]:
        laps = Laps(windows=len(batch))
        pictures = np.stack([self._spectrogram.image(samples) for samples in batch])
        laps.lap("spectrogram")
        probabilities = self._probabilities(pictures)
        laps.lap("model")
        genres = np.argmax(probabilities, axis=-1)
        laps.lap("decision")
        return [Answered(int(genre), laps.stages_ms) for genre in genres]

    def _probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._network.predict(pictures, verbose=0)
        return probabilities


class CompiledPipeline(KerasPipeline):
    """The same network traced once into a graph (``tensorflow.function``), without what ``predict`` does around it."""

    def __init__(self, model: Path, card: ModelCard, *, threads: int) -> None:
        super().__init__(model, card, threads=threads)
        import tensorflow

        shape = (None, *self._network.input_shape[1:])
        self._compiled = tensorflow.function(
            lambda pictures: self._network(pictures, training=False),
            input_signature=[tensorflow.TensorSpec(shape, tensorflow.uint8)],
            autograph=False,
        )

    def _probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._compiled(pictures).numpy()
        return probabilities


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
