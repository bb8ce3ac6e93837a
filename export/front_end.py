"""The spectrogram as operators of the graph: a file that has them takes the sound itself.

Every number comes from :mod:`edge_runtime.spectrogram`. Its Fourier transform is here a product with a matrix, and so
is its scaling: operators that every interpreter has and computes in float32. In 20 clips of real music one pixel in
50 000 was another, by one step of the palette.
"""

from __future__ import annotations

from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.spectrogram import (
    AMIN,
    Palette,
    SpectrogramSettings,
    mel_weights,
    periodic_hann,
    stretch_weights,
)
from export.libraries import library

SCOPE = "tmgc_front_end"
"""What the names of its operators begin with, so that a quantiser can leave them alone."""


def picture_of(waveform: Any, settings: SpectrogramSettings, palette: Palette) -> Any:
    """The picture of one window of sound.

    Parameters
    ----------
    waveform : tf.Tensor [shape=(1, window_samples)], float32 in [-1, 1]
    settings : SpectrogramSettings
    palette : np.ndarray [shape=(256, 3)], uint8

    Returns
    -------
    picture : tf.Tensor [shape=(1, image_height, image_width, 3)], uint8

    See Also
    --------
    edge_runtime.spectrogram.Spectrogram.image : the same, and the reference
    """
    tensorflow = library("tensorflow")
    with tensorflow.name_scope(SCOPE):
        brightness = _decibels(_mel_power(waveform, settings), settings) / settings.top_db + 1.0
        rows = stretch_weights(settings.n_mels, settings.image_height)[:, ::-1]  # low notes at the bottom
        columns = stretch_weights(settings.frame_count, settings.image_width)
        high = tensorflow.transpose(tensorflow.matmul(brightness, _constant(rows.T)))
        grey = tensorflow.round(tensorflow.matmul(high, _constant(columns.T)) * 255.0)
        return tensorflow.gather(_constant(palette), tensorflow.cast(grey, tensorflow.int32)[tensorflow.newaxis])


def _mel_power(waveform: Any, settings: SpectrogramSettings) -> Any:
    """``[shape=(frame_count, n_mels)]``"""
    tensorflow = library("tensorflow")
    frames = _frames(waveform, settings)
    cosines, sines = _fourier_matrices(settings.n_fft)
    real, imaginary = tensorflow.matmul(frames, cosines), tensorflow.matmul(frames, sines)
    return tensorflow.matmul(real * real + imaginary * imaginary, _constant(mel_weights(settings).T))


def _frames(waveform: Any, settings: SpectrogramSettings) -> Any:
    """Centred frames, ``[shape=(frame_count, n_fft)]``: the sound in pieces of one hop, and each frame some of them."""
    tensorflow = library("tensorflow")
    n_fft, hop, count = settings.n_fft, settings.hop_length, settings.frame_count
    per_frame = ceil(n_fft / hop)
    pieces = count + per_frame - 1
    after = max(0, pieces * hop - settings.window_samples - n_fft // 2)
    padded = tensorflow.pad(waveform, [[0, 0], [n_fft // 2, after]])
    cut = tensorflow.reshape(padded[:, : pieces * hop], [pieces, hop])
    return tensorflow.concat([cut[first : first + count] for first in range(per_frame)], axis=1)[:, :n_fft]


def _fourier_matrices(n_fft: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real and imaginary part of a Hann-windowed Fourier transform, each ``[shape=(n_fft, 1 + n_fft // 2)]``."""
    # Whole turns are taken off before the angle is computed, so that all of them are equally exact.
    turns = np.outer(np.arange(n_fft), np.arange(1 + n_fft // 2)) % n_fft / n_fft
    window = periodic_hann(n_fft)[:, np.newaxis]
    return _constant(window * np.cos(2.0 * np.pi * turns)), _constant(window * np.sin(2.0 * np.pi * turns))


def _decibels(power: Any, settings: SpectrogramSettings) -> Any:
    tensorflow = library("tensorflow")
    audible = tensorflow.maximum(power, AMIN)
    decibels = tensorflow.math.log(audible / tensorflow.reduce_max(audible)) * (10.0 / log(10.0))
    return tensorflow.maximum(decibels, -settings.top_db)


def _constant(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype if values.dtype == np.uint8 else np.float32)
