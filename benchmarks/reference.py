"""The pipeline that the project replaces: librosa, a matplotlib figure, a resized image, Keras ``predict``.

It is timed, and its predictions are not used: its images differ from those that the network was trained on, by two
mistakes that belong to it. The mel filters are made for 44 100 Hz and the samples are at 22 050 Hz; and the power is
squared once more before it becomes decibels.

Where it leaves a choice, the faster one is taken, so that no ratio flatters the exports: the figure is rendered in
memory and never written to a file, has no axis labels, and is resized by nearest neighbour. A network that takes images
of one channel gets the figure's luminance, which rises evenly in magma.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import WINDOW_SECONDS, Excerpt
from benchmarks.pipelines import Stopwatch, TimedPrediction, load_network
from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MEL_RATE = 44_100
"""Hz. What the mel filters are made for, whatever the sample rate is."""
N_FFT = 512
HOP_LENGTH = 256
N_MELS = 64


class ReferencePipeline:
    """The reference's steps, on the run's own network.

    Parameters
    ----------
    model : Path
        ``model.keras`` of a run.
    threads : int > 0
        TensorFlow's; the steps before the network use one.
    """

    def __init__(self, model: Path, *, threads: int) -> None:
        import librosa.display
        import matplotlib.pyplot as plt

        plt.switch_backend("Agg")
        self._librosa: Any = librosa
        self._network, network_runtime = load_network(model, threads=threads)
        if len(self._network.input_shape) != 4:
            raise TmgcError(f"the reference pipeline makes images, and {model} takes waveforms: leave this case out")
        self._shape = self._network.input_shape[1:]
        libraries = ", ".join(f"{name} {version(name)}" for name in ("librosa", "matplotlib"))
        self.runtime = f"{libraries}, {network_runtime}"

    def read(self, excerpt: Excerpt) -> Samples:
        """Two seconds of a file, mono float32 at librosa's default of 22 050 Hz."""
        samples: Samples
        samples, _ = self._librosa.load(excerpt.file, offset=excerpt.start_s, duration=WINDOW_SECONDS)
        return samples

    def predict(self, samples: Samples) -> TimedPrediction:
        """Classify samples at 22 050 Hz."""
        return self.predict_batch([samples])[0]

    def predict_batch(self, batch: Sequence[Samples]) -> list[TimedPrediction]:
        """The same for several windows, which ``predict`` takes together."""
        stopwatch = Stopwatch(windows=len(batch))
        decibels = [reference_decibels(samples) for samples in batch]
        stopwatch.lap("spectrogram")
        figures = [_pixels(each) for each in decibels]
        stopwatch.lap("figure")
        images = np.stack([self._resized(figure) for figure in figures])
        stopwatch.lap("resize")
        probabilities = self._network.predict(images, verbose=0)
        stopwatch.lap("model")
        classes = np.argmax(probabilities, axis=-1)
        stopwatch.lap("decision")
        return [TimedPrediction(int(index), stopwatch.stages_ms) for index in classes]

    def _resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input, ``[shape=(image_height, image_width, channels)], uint8``."""
        from PIL import Image

        height, width, channels = self._shape
        image = Image.fromarray(pixels).convert("L" if channels == 1 else "RGB")
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST)).reshape(self._shape)


def reference_decibels(samples: Samples) -> NDArray[np.float32]:
    """``[shape=(n_mels, n_frames)], float32 in [-80, 0] dB``, of samples at 22 050 Hz."""
    import librosa

    library: Any = librosa
    power = library.feature.melspectrogram(y=samples, sr=MEL_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS)
    decibels: NDArray[np.float32] = library.power_to_db(power**2, ref=np.max)
    return decibels


def reference_figure(decibels: NDArray[np.float32]) -> Figure:
    """The figure with its margins, at matplotlib's default size. The caller closes it."""
    import librosa.display
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    library: Any = librosa
    library.display.specshow(decibels, sr=MEL_RATE, hop_length=HOP_LENGTH, cmap="magma", ax=axes)
    return figure


def predict_file(model: str, audio: str, *, threads: int) -> int:
    """Index of the most likely genre of the first two seconds of a file."""
    pipeline = ReferencePipeline(Path(model), threads=threads)
    return pipeline.predict(pipeline.read(Excerpt(Path(audio), 0.0))).class_index


def _pixels(decibels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The figure rendered in memory, ``[shape=(480, 640, 4)], uint8 RGBA``."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = reference_figure(decibels)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    plt.close(figure)
    return pixels
