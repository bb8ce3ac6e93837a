"""musicnn (Pons and Serra 2019, "musicnn: Pre-trained convolutional neural networks for music audio tagging").

Its wheel carries the weights as TensorFlow 1 checkpoints. Only these are read: the network is built here, in Keras, and
no code of the wheel is run. Two of its networks are used, of one shape: one knows the 50 most frequent tags of the
Million Song Dataset (genres, moods, decades), the other those of MagnaTagATune (instruments, classical music). A
logistic regression on both embeddings is right on 80 of 100 clips where that on the first is on 78: see
``docs/few-songs.md``.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.spectrogram import SpectrogramSettings, mel_weights, periodic_hann
from train.libraries import library, predict_in_batches
from train.pinned_wheel import PinnedWheel
from train.teachers import MUSICNN
from train.teachers.genre_mapping import MAGNATAGATUNE

WHEEL = PinnedWheel(
    name=MUSICNN,
    requirement="musicnn==0.1.0",
    file_name="musicnn-0.1.0-py3-none-any.whl",
    sha256="f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
    licence_entry="musicnn-0.1.0.dist-info/LICENSE.md",
)

SAMPLE_RATE = 16_000
"""Hz"""

WINDOW_SAMPLES = 2 * SAMPLE_RATE
"""A window of the project. The network was trained on 3 seconds and takes any length."""

_N_FFT, _HOP, _N_MELS = 512, 256, 96

_FRONT_END = ((204, 7, 38), (204, 7, 67), (51, 128, 1), (51, 64, 1), (51, 32, 1))
"""Filters, frames and mel bands of each convolution of the front end."""

MSD_TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica",
    "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip
"""Outputs of the network ``MSD_musicnn``, in order."""

MTT_TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man",
    "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip
"""Outputs of the network ``MTT_musicnn``, in order."""

TAGS = {"MSD_musicnn": MSD_TAGS, "MTT_musicnn": tuple(MAGNATAGATUNE + tag for tag in MTT_TAGS)}
"""The tags of each network: those of MagnaTagATune are marked, since both have some."""

NETWORKS = tuple(TAGS)

EMBEDDING_SIZE = 200
"""Outputs of the last hidden layer of a network."""

LEVEL_DBFS = -17.0
"""Every window is brought to this level (root mean square): the network was trained on mastered music, and hears
loudness. On the same recordings 20 dB quieter, a logistic regression on its embedding falls from 80 to 52 %."""


class Musicnn:
    """Both networks as a teacher: of one after the other the embedding, then the logits of its tags.

    Parameters
    ----------
    wheel : Path
        As of :data:`WHEEL`.

    Raises
    ------
    TmgcError
        The file is not that wheel, to the last byte.
    """

    name = MUSICNN
    sample_rate = SAMPLE_RATE
    weights_sha256 = WHEEL.sha256
    target_names = tuple(
        name
        for network, tags in TAGS.items()
        for name in (*(f"{network} {number}" for number in range(EMBEDDING_SIZE)), *tags)
    )

    def __init__(self, wheel: Path) -> None:
        WHEEL.check(wheel)
        self.licence = WHEEL.licence(wheel)
        self.network = read_networks(wheel)
        self._check_answer()

    @classmethod
    def open(cls) -> Musicnn:
        """Open the teacher from the cache, and download its wheel first where it is not there.

        Raises
        ------
        TmgcError
            It cannot be downloaded, or is damaged.
        """
        return cls(WHEEL.fetch())

    def targets(self, windows: Samples) -> NDArray[np.float32]:
        """Embeddings and logits: see :meth:`train.teachers.Teacher.targets`."""
        return predict_in_batches(self.network, windows)

    def _check_answer(self) -> None:
        """Compare with known logits: a Keras or TensorFlow that computes something else is refused here."""
        logits = self.targets(_test_signal()[np.newaxis]).reshape(len(NETWORKS), -1)[:, EMBEDDING_SIZE:]
        difference = float(np.abs(logits[:, : len(_TEST_LOGITS[0])] - _TEST_LOGITS).max())
        if not difference <= _TOLERANCE:
            raise TmgcError(
                f"the teacher's network must compute known outputs for a known input, within {_TOLERANCE}: they differ "
                f"by {difference:.3g}. Install the versions of Keras and TensorFlow that tmgc asks for"
            )


def _test_signal() -> Samples:
    """Harmonics of a plucked string twice a second, ``[shape=(WINDOW_SAMPLES,)], float32``."""
    seconds = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE
    harmonics = np.arange(1, 9)[:, np.newaxis]
    tone = (np.sin(2 * np.pi * 220 * harmonics * seconds) / harmonics).sum(axis=0)
    signal: Samples = (0.2 * tone * np.exp(-6 * (seconds % 0.5))).astype(np.float32)
    return signal


_TEST_LOGITS = (
    (-3.7556, -4.1317, -2.6828, -1.1814, -0.1734, -3.2717, -4.2173, -3.8850),
    (-1.0222, -3.5012, -0.5918, -4.4741, -4.6706, -3.6155, -3.2478, -6.1688),
)
"""The first logits of each network for that signal, from a build that agreed with the checkpoint's own graph within
1.4e-5."""

_TOLERANCE = 5e-3
"""The 19 bits in which NVIDIA GPUs multiply by default (TF32) change these logits by 1.5e-3."""


def _read_weights(wheel: Path, name: str) -> dict[str, NDArray[np.float32]]:
    """The variables of a network by their names.

    TensorFlow reads the checkpoint once; what it read is kept in the cache, for machines that train without it.
    """
    WHEEL.check(wheel)
    converted = WHEEL.cached.with_name(f"{name}-{WHEEL.sha256[:12]}.npz")
    if not converted.is_file():
        weights = _read_checkpoint(wheel, name)
        with atomic_write(converted) as partial:
            np.savez(partial, **weights)
    try:
        with np.load(converted) as archive:
            return {variable: archive[variable] for variable in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TmgcError(f"the teacher's weights in {converted} cannot be read ({error}): remove that file") from error


def _read_checkpoint(wheel: Path, name: str) -> dict[str, Any]:
    tensorflow = library("tensorflow", extra="train")
    with TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        prefix = Path(folder, "weights")
        for part in (".index", ".data-00000-of-00001"):
            prefix.with_name(prefix.name + part).write_bytes(archive.read(f"musicnn/{name}/{part}"))
        reader = tensorflow.train.load_checkpoint(str(prefix))
        names = (name for name in reader.get_variable_to_shape_map() if not _OF_OPTIMIZER.search(name))
        return {variable: reader.get_tensor(variable) for variable in names}


_OF_OPTIMIZER = re.compile("Adam|_power$")


def front_end(settings: SpectrogramSettings) -> keras.Model:
    """The network's own spectrogram, as the front end of a classifier.

    Parameters
    ----------
    settings : SpectrogramSettings
        Of the run: its sample rate must be the network's.

    Returns
    -------
    front_end : keras.Model
        From waveforms ``[shape=(n, window_samples)], float32 in [-1, 1]``, at any level, to
        ``[shape=(n, frames, 96)], float32 >= 0``.

    Raises
    ------
    TmgcError
        The run has another sample rate.
    """
    if settings.sample_rate != SAMPLE_RATE:
        raise TmgcError(
            f"--architecture musicnn hears {SAMPLE_RATE} Hz, the run has {settings.sample_rate} Hz: prepare it again "
            f"with --sample-rate {SAMPLE_RATE}"
        )
    waveform = keras.Input((settings.window_samples,), dtype="float32")
    return keras.Model(waveform, log_mel(at_level(waveform)))


def backbone(*, input_shape: tuple[int, ...], weights: str | None, networks: Sequence[str] = NETWORKS) -> keras.Model:
    """The networks from their spectrogram to their embeddings, ``[shape=(n, 200 * len(networks))], float32``.

    Parameters
    ----------
    input_shape : tuple of int
        ``(frames, 96)``
    weights : str or None
        ``musicnn`` reads those of the wheel, which is downloaded where it is not in the cache; None is random.
    networks : sequence of str
        Of :data:`NETWORKS`, one at least. Their layers stand side by side in one model.
    """
    mel, builders = keras.Input(input_shape), [_Builder() for _ in networks]
    embeddings = [builder.embedding(mel) for builder in builders]
    if weights:
        for builder, name in zip(builders, networks, strict=True):
            builder.load(WHEEL.fetch(), name)
    return keras.Model(mel, keras.ops.concatenate(embeddings, -1))


def tag_layer(wheel: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel ``[shape=(200, 50)]`` and bias of a network's last layer, from its embedding to the logits of its tags."""
    weights = _read_weights(wheel, name)
    return weights["dense_1/kernel"], weights["dense_1/bias"]


def read_networks(wheel: Path, *, window_samples: int = WINDOW_SAMPLES) -> keras.Model:
    """Build the networks of the wheel with their weights.

    Parameters
    ----------
    wheel : Path
    window_samples : int >= 512

    Returns
    -------
    network : keras.Model
        From windows ``[shape=(n, window_samples)], float32 in [-1, 1]`` at 16 kHz, at any level, to the embedding and
        the logits of the tags of each network, ``[shape=(n, 500)], float32``.
    """
    waveform = keras.Input((window_samples,), dtype="float32")
    mel, outputs = log_mel(at_level(waveform)), []
    for name in NETWORKS:
        builder = _Builder()
        embedding = builder.embedding(mel)
        outputs += [embedding, builder.tags(embedding)]
        builder.load(wheel, name)
    return keras.Model(waveform, keras.ops.concatenate(outputs, -1), name=MUSICNN)


class _Builder:
    """Builds the network, and notes the variables of the checkpoint that each layer takes its weights from."""

    def __init__(self) -> None:
        self._layers: list[tuple[Any, list[str]]] = []
        self._counts: Counter[str] = Counter()

    def load(self, wheel: Path, name: str) -> None:
        """Give the layers that were built the weights of a network of the wheel."""
        weights = _read_weights(wheel, name)
        for layer, variables in self._layers:
            layer.set_weights([weights[variable] for variable in variables])

    def embedding(self, log_mel: Any) -> Any:
        """The last hidden layer, ``[shape=(n, 200)]``, of a spectrogram ``[shape=(n, frames, 96)]``."""
        mel = self._normalized(keras.ops.expand_dims(log_mel, -1))
        features = [keras.ops.concatenate([self._front_end(mel, *shape) for shape in _FRONT_END], -1)]
        hidden = self._along_time(features[0])
        features.append(hidden)
        for _ in range(2):
            hidden = self._along_time(hidden) + hidden
            features.append(hidden)
        pooled = _pooled(keras.ops.concatenate(features, -1))
        return self._normalized(self._dense(self._normalized(pooled), EMBEDDING_SIZE, "relu"))

    def tags(self, embedding: Any) -> Any:
        """Logits of the tags, ``[shape=(n, 50)]``."""
        return self._dense(embedding, len(MSD_TAGS), None)

    def _front_end(self, mel: Any, filters: int, frames: int, bands: int) -> Any:
        """A convolution over frames and bands, of which the loudest place on the frequency axis is kept."""
        padding = "same"
        if bands > 1:  # padded in time only
            mel, padding = layers.ZeroPadding2D(((frames // 2, frames // 2), (0, 0)))(mel), "valid"
        hidden = self._normalized(self._convolution(mel, filters, (frames, bands), padding))
        return keras.ops.max(hidden, axis=2)

    def _along_time(self, features: Any) -> Any:
        """A convolution of 7 frames over all features, to 64."""
        image = layers.ZeroPadding2D(((3, 3), (0, 0)))(keras.ops.expand_dims(features, -1))
        hidden = self._normalized(self._convolution(image, 64, (7, features.shape[-1]), "valid"))
        return keras.ops.squeeze(hidden, 2)

    def _convolution(self, image: Any, filters: int, kernel: tuple[int, int], padding: str) -> Any:
        layer = layers.Conv2D(filters, kernel, padding=padding, activation="relu")
        return self._applied(layer, image, "conv2d", ("kernel", "bias"))

    def _normalized(self, hidden: Any) -> Any:
        variables = ("gamma", "beta", "moving_mean", "moving_variance")
        return self._applied(layers.BatchNormalization(epsilon=1e-3), hidden, "batch_normalization", variables)

    def _dense(self, hidden: Any, units: int, activation: str | None) -> Any:
        return self._applied(layers.Dense(units, activation=activation), hidden, "dense", ("kernel", "bias"))

    def _applied(self, layer: Any, hidden: Any, scope: str, variables: tuple[str, ...]) -> Any:
        """Apply a layer; TensorFlow 1 numbered the layers of a kind in the order in which they were made."""
        number = self._counts[scope]
        self._counts[scope] += 1
        self._layers.append((layer, [f"{scope}{f'_{number}' if number else ''}/{variable}" for variable in variables]))
        return layer(hidden)


def at_level(waveform: Any) -> Any:
    """Windows at :data:`LEVEL_DBFS`; silence stays silence.

    Parameters
    ----------
    waveform : keras tensor [shape=(n, window_samples)], float32 in [-1, 1]
    """
    power = keras.ops.mean(keras.ops.square(waveform), axis=1, keepdims=True)
    return waveform * (10 ** (LEVEL_DBFS / 20)) / keras.ops.sqrt(keras.ops.maximum(power, 1e-10))


def log_mel(waveform: Any) -> Any:
    """The network's spectrogram: frames are not centred, and ``log10(10 000 power + 1)`` compresses.

    Parameters
    ----------
    waveform : keras tensor [shape=(n, window_samples)], float32

    Returns
    -------
    log_mel : keras tensor [shape=(n, frames, 96)], float32 >= 0
        Layers without trainable weights compute it, so that it is part of every file that the network is exported to.
    """
    blocks = waveform.shape[1] // _HOP
    cut = keras.ops.reshape(waveform[:, : blocks * _HOP], (-1, blocks, _HOP))
    frames = keras.ops.concatenate([cut[:, :-1], cut[:, 1:]], axis=-1)
    turns = np.outer(np.arange(_N_FFT), np.arange(1 + _N_FFT // 2)) % _N_FFT / _N_FFT
    window = periodic_hann(_N_FFT)[:, np.newaxis]
    real, imaginary = (_fixed(frames, window * part(2 * np.pi * turns)) for part in (np.cos, np.sin))
    settings = SpectrogramSettings(sample_rate=SAMPLE_RATE, n_fft=_N_FFT, hop_length=_HOP, n_mels=_N_MELS)
    mel = _fixed(keras.ops.square(real) + keras.ops.square(imaginary), mel_weights(settings).T)
    return keras.ops.log1p(1e4 * mel) / math.log(10)


def _fixed(hidden: Any, matrix: NDArray[Any]) -> Any:
    """The product with a constant matrix, as a layer whose weights are not trained."""
    layer = layers.Dense(matrix.shape[1], use_bias=False, trainable=False)
    layer.build(hidden.shape)
    layer.set_weights([matrix.astype(np.float32)])
    return layer(hidden)


def _pooled(features: Any) -> Any:
    """Maximum and mean over time, one after the other for each feature."""
    both = keras.ops.stack([keras.ops.max(features, axis=1), keras.ops.mean(features, axis=1)], axis=-1)
    return keras.ops.reshape(both, (-1, 2 * features.shape[-1]))
