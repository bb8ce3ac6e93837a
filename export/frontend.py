"""The network as TensorFlow graphs: Keras' predictions, and the SavedModel with image or waveform input."""

from __future__ import annotations

from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import ModelInput
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import (
    AMIN,
    Colormap,
    SpectrogramSettings,
    mel_weights,
    periodic_hann,
    stretch_weights,
)
from train.libraries import library, load_keras_model
from train.training.model import BACKBONE, FRONT_END, HEAD

SCOPE = "tmgc_front_end"
"""Prefix of the names of the spectrogram's operators, by which quantisers leave them in float."""


def spectrogram_image(waveform: Any, settings: SpectrogramSettings, colormap: Colormap) -> Any:
    """Spectrogram image of one window, in TensorFlow operators.

    Parameters
    ----------
    waveform : tf.Tensor [shape=(1, window_samples)], float32 in [-1, 1]
    settings : SpectrogramSettings
    colormap : np.ndarray [shape=(256, channels)], uint8

    Returns
    -------
    image : tf.Tensor [shape=(1, image_height, image_width, channels)], uint8

    See Also
    --------
    edge_runtime.spectrogram.Spectrogram.image : the reference implementation, in NumPy
    """
    tensorflow = library("tensorflow", extra="export")
    with tensorflow.name_scope(SCOPE):
        brightness = _decibels(_mel_power(waveform, settings), settings) / settings.top_db + 1.0
        rows = stretch_weights(settings.n_mels, settings.image_height)[:, ::-1]  # low frequencies at the bottom
        columns = stretch_weights(settings.frame_count, settings.image_width)
        stretched = tensorflow.transpose(tensorflow.matmul(brightness, _constant(rows.T)))
        index_image = tensorflow.round(tensorflow.matmul(stretched, _constant(columns.T)) * 255.0)
        indices = tensorflow.cast(index_image, tensorflow.int32)[tensorflow.newaxis]
        return tensorflow.gather(_constant(colormap), indices)


def _mel_power(waveform: Any, settings: SpectrogramSettings) -> Any:
    """Mel power spectrum, ``[shape=(frame_count, n_mels)]``."""
    tensorflow = library("tensorflow", extra="export")
    frames = _frames(waveform, settings)
    cosines, sines = _fourier_matrices(settings.n_fft)
    real, imaginary = tensorflow.matmul(frames, cosines), tensorflow.matmul(frames, sines)
    return tensorflow.matmul(real * real + imaginary * imaginary, _constant(mel_weights(settings).T))


def _frames(waveform: Any, settings: SpectrogramSettings) -> Any:
    """Centred frames, ``[shape=(frame_count, n_fft)]``, concatenated from blocks of one hop."""
    tensorflow = library("tensorflow", extra="export")
    n_fft, hop, count = settings.n_fft, settings.hop_length, settings.frame_count
    per_frame = ceil(n_fft / hop)
    blocks = count + per_frame - 1
    after = max(0, blocks * hop - settings.window_samples - n_fft // 2)
    padded = tensorflow.pad(waveform, [[0, 0], [n_fft // 2, after]])
    cut = tensorflow.reshape(padded[:, : blocks * hop], [blocks, hop])
    return tensorflow.concat([cut[first : first + count] for first in range(per_frame)], axis=1)[:, :n_fft]


def _fourier_matrices(n_fft: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real and imaginary part of a Hann-windowed DFT matrix, each ``[shape=(n_fft, 1 + n_fft // 2)]``."""
    # Modulo one turn before the angle is computed, so that all angles are equally exact.
    turns = np.outer(np.arange(n_fft), np.arange(1 + n_fft // 2)) % n_fft / n_fft
    window = periodic_hann(n_fft)[:, np.newaxis]
    return _constant(window * np.cos(2.0 * np.pi * turns)), _constant(window * np.sin(2.0 * np.pi * turns))


def _decibels(power: Any, settings: SpectrogramSettings) -> Any:
    tensorflow = library("tensorflow", extra="export")
    audible = tensorflow.maximum(power, AMIN)
    decibels = tensorflow.math.log(audible / tensorflow.reduce_max(audible)) * (10.0 / log(10.0))
    return tensorflow.maximum(decibels, -settings.top_db)


def _constant(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, values.dtype if values.dtype == np.uint8 else np.float32)


OUTPUT_NAME = "probabilities"
"""Name of a file's output: float32 ``[shape=(batch, n_genres)]``."""

_BATCH = 32

_KINDS = {("uint8", 3): "image", ("float32", 1): "waveform"}
"""Kind of an input by its type and its number of dimensions without the batch."""


class KerasModel:
    """A trained network, traced once for its predictions and its export.

    Parameters
    ----------
    path : Path
        A ``.keras`` file, or the weights that ``network`` was built from.
    network : keras.Model, optional
        Is loaded from ``path`` by default.

    Raises
    ------
    TmgcError
        The file is missing, Keras cannot read it, or the input of the network is neither a uint8 image nor a float32
        waveform.

    Attributes
    ----------
    input_kind : str
        One of :data:`edge_runtime.model_card.INPUT_KINDS`.
    """

    def __init__(self, path: Path, network: Any = None) -> None:
        if not path.is_file():
            raise TmgcError(f"a trained run has a {path.name}: there is none in {path.parent}. Run: tmgc-train fit")
        tensorflow, keras = library("tensorflow", extra="export"), library("keras", extra="export")
        model = network or load_keras_model(path)
        self.path = path
        shape = tuple(model.input_shape[1:])
        dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
        self.input_kind = _KINDS.get((dtype, len(shape)))
        has_parts = {FRONT_END, BACKBONE, HEAD} <= {layer.name for layer in model.layers}
        if self.input_kind is None or None in shape or (self.input_kind == "waveform" and not has_parts):
            raise TmgcError(
                "the input of a network must be uint8 images of one size, or waveforms of one length for a front end "
                f"of its own: that of {path} is {dtype} of {shape}. Train it again with tmgc-train fit"
            )
        self._model = model
        signature = tensorflow.TensorSpec((None, *shape), dtype, name=self.input_kind)
        self._serve = tensorflow.function(
            lambda inputs: {OUTPUT_NAME: model(inputs, training=False)}, input_signature=[signature], autograph=False
        )

    def predict(self, inputs: ModelInput) -> NDArray[np.float32]:
        """Keras' predictions.

        Parameters
        ----------
        inputs : np.ndarray
            Images ``[shape=(n, image_height, image_width, channels)], uint8``, or waveforms
            ``[shape=(n, window_samples)], float32 in [-1, 1]``, by :attr:`input_kind`.

        Returns
        -------
        probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
        """
        batches = [inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH)]
        return np.concatenate([self._serve(batch)[OUTPUT_NAME].numpy() for batch in batches])

    def check_card(self, card: ModelCard) -> None:
        """Check the shapes of the input and the output against a card.

        Raises
        ------
        TmgcError
            The card describes images or waveforms of another size, or another number of genres.
        """
        expected = card.replace(input_kind=self.input_kind).input_shape
        input_shape, output_shape = tuple(self._model.input_shape[1:]), self._model.output_shape
        if input_shape != expected or output_shape != (None, len(card.genres)):
            raise TmgcError(
                f"a network must fit its spectrogram settings, its colormap and its genres, {expected} and "
                f"{len(card.genres)}: {self.path} has input {input_shape} and output {output_shape[1:]}. Correct them, "
                "or train it again"
            )

    def save(self, folder: Path, card: ModelCard) -> None:
        """Write a SavedModel with one signature, whose input is of the card's kind.

        ``keras.Model.export`` writes an equivalent one in four times the time, since it traces and tracks every layer.
        """
        tensorflow = library("tensorflow", extra="export")
        serve = self._serve_waveform(card) if card.input_kind == "waveform" else self._serve
        module: Any = tensorflow.Module()
        module.variables_to_save = [variable.value for variable in self._model.variables]
        module.serve = serve
        tensorflow.saved_model.save(module, str(folder), signatures={"serving_default": serve})

    def _serve_waveform(self, card: ModelCard) -> Any:
        """The network with its spectrogram in front, for one window at a time."""
        tensorflow, settings = library("tensorflow", extra="export"), card.spectrogram
        signature = tensorflow.TensorSpec((1, settings.window_samples), tensorflow.float32, name="waveform")

        def serve(waveform: Any) -> dict[str, Any]:
            if self.input_kind == "waveform":
                return {OUTPUT_NAME: self._in_parts(waveform)}
            image = spectrogram_image(waveform, settings, card.colormap_array)
            return {OUTPUT_NAME: self._model(image, training=False)}

        return tensorflow.function(serve, input_signature=[signature], autograph=False)

    def _in_parts(self, waveform: Any) -> Any:
        """The network, with the names of its own front end under :data:`SCOPE`."""
        tensorflow = library("tensorflow", extra="export")
        with tensorflow.name_scope(SCOPE):
            hidden = self._model.get_layer(FRONT_END)(waveform, training=False)
        for name in (BACKBONE, HEAD):
            hidden = self._model.get_layer(name)(hidden, training=False)
        return hidden
