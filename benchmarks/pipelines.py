"""From two seconds of an audio file to a prediction, in the two steps that a benchmark times: read, then predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import Excerpt
from edge_runtime.audio import Samples
from edge_runtime.audio_file import read_audio
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from train.libraries import load_keras_model

if TYPE_CHECKING:
    import keras


class TimedPrediction(NamedTuple):
    """The most likely genre, and where the time went."""

    class_index: int
    stages_ms: dict[str, float]


class Pipeline(Protocol):
    """One way from audio to a prediction, with its model loaded."""

    runtime: str
    """Name and version of the library that runs the network."""

    def read(self, excerpt: Excerpt) -> Samples:
        """Decode two seconds of a file, at the pipeline's sample rate."""

    def predict(self, samples: Samples) -> TimedPrediction:
        """Classify one window."""

    def predict_batch(self, batch: Sequence[Samples]) -> list[TimedPrediction]:
        """Classify several windows, at once where the library can; each has its share of the time."""


class Stopwatch:
    """Times the stages of a pipeline.

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
        """End a stage that began with the one before."""
        now = perf_counter()
        self.stages_ms[name] = (now - self._last) * 1e3 / self._windows
        self._last = now


class ExportPipeline:
    """An exported model, as ``tmgc-listen`` runs it: one window after another, however many wait."""

    def __init__(self, model: Path, *, threads: int, engine: str | None = None) -> None:
        from edge_runtime.classifier import GenreClassifier
        from edge_runtime.interpreters import open_interpreter

        # without golden windows, since its first inference is timed
        self._classifier = GenreClassifier(open_interpreter(model, threads=threads, engine=engine))
        self.runtime = self._classifier.runtime

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._classifier.card.spectrogram)

    def predict(self, samples: Samples) -> TimedPrediction:
        classification = self._classifier.classify(samples)
        stopwatch = Stopwatch()
        class_index = int(np.argmax(classification.probabilities))
        stopwatch.lap("decision")
        stages = {"spectrogram": classification.spectrogram_ms, "model": classification.model_ms}
        return TimedPrediction(class_index, stages | stopwatch.stages_ms)

    def predict_batch(self, batch: Sequence[Samples]) -> list[TimedPrediction]:
        return [self.predict(samples) for samples in batch]


class KerasPipeline:
    """The project's own spectrogram, then the trained network by Keras ``predict``."""

    def __init__(self, model: Path, card: ModelCard, *, threads: int) -> None:
        self._network, self.runtime = load_network(model, threads=threads)
        self._spectrogram = Spectrogram(card.spectrogram, card.colormap_array)
        self._takes_images = card.input_kind == "image"

    def read(self, excerpt: Excerpt) -> Samples:
        return read_window(excerpt, self._spectrogram.settings)

    def predict(self, samples: Samples) -> TimedPrediction:
        return self.predict_batch([samples])[0]

    def predict_batch(self, batch: Sequence[Samples]) -> list[TimedPrediction]:
        stopwatch = Stopwatch(windows=len(batch))
        inputs: Any = np.stack([self._spectrogram.image(each) for each in batch] if self._takes_images else batch)
        stopwatch.lap("spectrogram")
        probabilities = self._probabilities(inputs)
        stopwatch.lap("model")
        classes = np.argmax(probabilities, axis=-1)
        stopwatch.lap("decision")
        return [TimedPrediction(int(index), stopwatch.stages_ms) for index in classes]

    def _probabilities(self, inputs: Any) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._network.predict(inputs, verbose=0)
        return probabilities


class CompiledPipeline(KerasPipeline):
    """The same network traced once into a graph (``tensorflow.function``), without the overhead of ``predict``."""

    def __init__(self, model: Path, card: ModelCard, *, threads: int) -> None:
        super().__init__(model, card, threads=threads)
        import tensorflow

        shape = (None, *self._network.input_shape[1:])
        self._compiled = tensorflow.function(
            lambda inputs: self._network(inputs, training=False),
            input_signature=[tensorflow.TensorSpec(shape, self._network.inputs[0].dtype)],
            autograph=False,
        )

    def _probabilities(self, inputs: Any) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = self._compiled(inputs).numpy()
        return probabilities


def read_window(excerpt: Excerpt, settings: SpectrogramSettings) -> Samples:
    """Decode and resample a window of a file, padded with silence at the file's end.

    Returns
    -------
    samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    """
    samples = read_audio(
        excerpt.file,
        sample_rate=settings.sample_rate,
        start_seconds=excerpt.start_s,
        seconds=settings.window_seconds,
    )[: settings.window_samples]
    missing = settings.window_samples - len(samples)
    return np.pad(samples, (0, missing)) if missing else samples


def load_network(model: Path, *, threads: int) -> tuple[keras.Model, str]:
    """A trained network, and name and version of the libraries that run it.

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
        raise TmgcError(f"this case needs the trained network: there is no {model}. Make it with tmgc-train fit")
    import keras
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    network = load_keras_model(model)
    return network, f"keras {keras.__version__}, tensorflow {tensorflow.__version__}"
