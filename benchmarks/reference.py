"""The way that the project replaces: librosa, a matplotlib figure, a resized picture, Keras ``predict``.

It is timed, never believed: its pictures differ from those that the network was trained on, by two mistakes that are
kept because they belong to it. The mel filters are made for 44 100 Hz and the sound is at 22 050 Hz; and the power
is squared once more before it becomes decibels.

Where the original leaves a choice, the quicker one is taken, so that no ratio flatters the exports: the figure is
rendered to pixels in memory and never written to a file, has no axis labels, and is scaled by the nearest pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import WINDOW_SECONDS, Excerpt
from benchmarks.pipelines import Answered, Laps, load_network
from edge_runtime.audio import Samples
from edge_runtime.cli.base import OneLineCommand, one_line_errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MEL_RATE = 44_100
"""Hz. What the mel filters are made for, whatever the sound's rate is."""
N_FFT = 512
HOP_LENGTH = 256
N_MELS = 64


class OriginalPipeline:
    """The original's steps, on the run's own network.

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
        self._height, self._width = self._network.input_shape[1:3]
        libraries = ", ".join(f"{name} {version(name)}" for name in ("librosa", "matplotlib"))
        self.runtime = f"{libraries}, {network_runtime}"

    def read(self, excerpt: Excerpt) -> Samples:
        """Two seconds of a file, mono float32 at librosa's default of 22 050 Hz."""
        samples: Samples
        samples, _ = self._librosa.load(excerpt.path, offset=excerpt.start_seconds, duration=WINDOW_SECONDS)
        return samples

    def prediction(self, samples: Samples) -> Answered:
        """From samples at 22 050 Hz to the index of a genre."""
        return self.answer_all([samples])[0]

    def answer_all(self, batch: Sequence[Samples]) -> list[Answered]:
        """The same for several windows, which ``predict`` takes together."""
        laps = Laps(windows=len(batch))
        decibels = [original_decibels(samples) for samples in batch]
        laps.lap("spectrogram")
        figures = [_pixels(each) for each in decibels]
        laps.lap("figure")
        pictures = np.stack([self._resized(figure) for figure in figures])
        laps.lap("resize")
        probabilities = self._network.predict(pictures, verbose=0)
        laps.lap("model")
        genres = np.argmax(probabilities, axis=-1)
        laps.lap("decision")
        return [Answered(int(genre), laps.stages_ms) for genre in genres]

    def _resized(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's picture, ``[shape=(image_height, image_width, 3)], uint8 RGB``."""
        from PIL import Image

        image = Image.fromarray(pixels).convert("RGB").resize((self._width, self._height), Image.Resampling.NEAREST)
        return np.asarray(image)


def original_decibels(samples: Samples) -> NDArray[np.float32]:
    """``[shape=(n_mels, n_frames)], float32 in [-80, 0] dB``, of samples at 22 050 Hz."""
    import librosa

    library: Any = librosa
    power = library.feature.melspectrogram(y=samples, sr=MEL_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS)
    decibels: NDArray[np.float32] = library.power_to_db(power**2, ref=np.max)
    return decibels


def original_figure(decibels: NDArray[np.float32]) -> Figure:
    """The figure with its margins, at matplotlib's default size. Who calls this closes it."""
    import librosa.display
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    library: Any = librosa
    library.display.specshow(decibels, sr=MEL_RATE, hop_length=HOP_LENGTH, cmap="magma", ax=axes)
    return figure


def _pixels(decibels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The figure rendered in memory, ``[shape=(480, 640, 4)], uint8 RGBA``."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = original_figure(decibels)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba())
    plt.close(figure)
    return pixels


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("audio", type=click.Path(path_type=Path))
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Of TensorFlow.")
@one_line_errors
def main(model: Path, audio: Path, threads: int) -> None:
    """Print the number of the genre of the first two seconds of AUDIO, by MODEL, in the original's way."""
    pipeline = OriginalPipeline(model, threads=threads)
    click.echo(pipeline.prediction(pipeline.read(Excerpt(audio, 0.0))).genre)


if __name__ == "__main__":
    main()
