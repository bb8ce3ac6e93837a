"""The mel spectrogram of a window as an image: every one that a model is trained on or sees on the Pi.

Three others exist: ``export/frontend.py`` repeats it as TensorFlow operators for ``--input waveform`` (parity compares
them), ``benchmarks/reference.py`` is the reference pipeline's, and ``train/teachers/musicnn.py`` is musicnn's own.

The formulas are those of ``librosa.feature.melspectrogram`` (Slaney mel bands) and ``librosa.power_to_db``; the tests
compare with librosa within 1e-3 dB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, shortened

Colormap = NDArray[np.uint8]
"""Colours from the quietest to the loudest, ``[shape=(256, channels)], uint8``: RGB with three channels, gray with one.
"""


_RANGES = {
    "sample_rate": (1_000, 192_000),
    "window_seconds": (0.1, 60),
    "n_fft": (1, 8_192),
    "hop_length": (1, 8_192),
    "n_mels": (1, 512),
    "top_db": (1, 1_000),
    "image_height": (1, 1_024),
    "image_width": (1, 1_024),
}
"""Lowest and highest value of each setting."""

_HIGHEST_TOGETHER = {
    "window_samples": (3_000_000, "samples in a window", "lower sample_rate or window_seconds"),
    "frame_count": (12_000, "frames in a window", "raise hop_length, or lower sample_rate or window_seconds"),
    "overlap": (64, "frames that share a sample (n_fft / hop_length)", "raise hop_length or lower n_fft"),
}
"""Upper limits of what several settings make together, what that is, and how to obey. With :data:`_RANGES` they bound
an image to about 100 MB and a second; 60 s at 48 kHz with a hop of 256 samples are allowed."""


@dataclass(frozen=True)
class SpectrogramSettings:
    """All parameters of the spectrogram image: equal settings give equal images."""

    sample_rate: int = 44_100
    """Hz; audio of any other rate is resampled first."""
    window_seconds: float = 2.0
    """Seconds of audio in one image."""
    n_fft: int = 512
    """Samples in a frame, and in its periodic Hann window."""
    hop_length: int = 256
    """Samples from one frame to the next."""
    n_mels: int = 64
    """Mel bands, from 0 Hz to half the sample rate."""
    top_db: float = 80.0
    """Dynamic range in dB below the image's maximum."""
    image_height: int = 224
    """Pixels along the mel axis."""
    image_width: int = 224
    """Pixels along the time axis."""

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            kind, noun = (int | float, "number") if name in ("window_seconds", "top_db") else (int, "whole number")
            if isinstance(value, bool) or not isinstance(value, kind) or not lowest <= value <= highest:
                raise TmgcError(
                    f"spectrogram setting {name} must be a {noun} from {lowest} to {highest}, got {shortened(value)}"
                )
        if self.n_fft > self.window_samples:
            raise TmgcError(f"n_fft must fit into a window of {self.window_samples} samples, got {self.n_fft}")
        for name, (highest, noun, advice) in _HIGHEST_TOGETHER.items():
            if (value := getattr(self, name)) > highest:
                raise TmgcError(f"spectrogram settings give {value} {noun}, at most {highest} are allowed: {advice}")

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def frame_count(self) -> int:
        """Frames in a window before the image is resized: centred, so one more than the hops that fit."""
        return 1 + (self.window_samples - self.n_fft % 2) // self.hop_length

    @property
    def overlap(self) -> int:
        """Frames that contain one sample."""
        return -(-self.n_fft // self.hop_length)

    @property
    def leading_frames(self) -> int:
        """Frames at the beginning that reach into the zero padding."""
        return -(-(self.n_fft // 2) // self.hop_length)

    @property
    def inner_frames(self) -> int:
        """Frames without zero padding, which are equal in all overlapping windows that contain them."""
        last_start = self.window_samples - self.n_fft + self.n_fft // 2
        return 1 + last_start // self.hop_length - self.leading_frames

    def to_json(self) -> dict[str, int | float]:
        """The settings as an object of a model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SpectrogramSettings:
        """The settings of a model card; unknown or missing names raise :class:`TmgcError`."""
        expected = {field.name for field in fields(cls)}
        if set(document) != expected:
            odd = sorted(expected.symmetric_difference(document))
            raise TmgcError(
                f"spectrogram settings must name {', '.join(sorted(expected))}; missing or unknown: {shortened(odd)}. "
                "Export the model again with this version of tmgc-export"
            )
        return cls(**document)


_FRAMES_AT_ONCE = 64
"""They and their spectrum take 0.3 MB, which fits into the CPU's cache: all frames at once take several times as long,
and half as many a sixth longer."""

_BANDS_AT_ONCE = 16
"""Matrix products small enough that a BLAS computes them in one thread."""


class Spectrogram:
    """Computes the spectrogram image of windows; what does not depend on the samples is computed once.

    Parameters
    ----------
    settings : SpectrogramSettings
    colormap : np.ndarray [shape=(256, channels)], uint8, channels 1 or 3

    Examples
    --------
    >>> spectrogram = Spectrogram(SpectrogramSettings(), colormap)      # doctest: +SKIP
    >>> image = spectrogram.image(samples)                             # doctest: +SKIP
    """

    def __init__(self, settings: SpectrogramSettings, colormap: Colormap) -> None:
        if colormap.shape not in ((256, 1), (256, 3)) or colormap.dtype != np.uint8:
            raise TmgcError(
                f"a colormap is 256 levels or RGB triples of uint8, got {colormap.dtype} of shape {colormap.shape}"
            )
        self.settings = settings
        self.colormap = colormap
        self._is_gray = np.array_equal(colormap, np.arange(256)[:, None])

    def image(self, samples: NDArray[np.float32], inner_power: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
        """The image of one window.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
            Mono, at ``settings.sample_rate``.
        inner_power : np.ndarray [shape=(inner_frames, n_mels)], float32 >= 0, optional
            Mel power of the window's inner frames (:meth:`frame_power`), if it is already known.

        Returns
        -------
        image : np.ndarray [shape=(image_height, image_width, channels)], uint8, low frequencies at the bottom
            With the channels of the colormap.
        """
        indices = self._indices(self._mel_power(samples, inner_power))
        # take is four times as fast as colormap[...]
        return indices[..., None] if self._is_gray else self.colormap.take(indices, axis=0)

    def index_image(self, samples: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The image of one window before the colormap is applied.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]

        Returns
        -------
        index_image : np.ndarray [shape=(image_height, image_width)], uint8, low frequencies at the bottom
            Indices into the colormap.
        """
        return self._indices(self._mel_power(samples))

    def decibels(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mel spectrogram of one window in decibels relative to its maximum.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]

        Returns
        -------
        decibels : np.ndarray [shape=(n_mels, frame_count)], float32 in [-top_db, 0]

        See Also
        --------
        librosa.feature.melspectrogram, librosa.power_to_db : the reference
        """
        return to_decibels(self._mel_power(samples), top_db=self.settings.top_db)

    def frame_power(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel power of the frames that lie completely within the samples, without padding.

        Parameters
        ----------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], n >= n_fft

        Returns
        -------
        power : np.ndarray [shape=(1 + (n - n_fft) // hop_length, n_mels)], float32 >= 0
        """
        n_fft, hop = self.settings.n_fft, self.settings.hop_length
        samples = np.ascontiguousarray(samples)
        # sliding_window_view spends more time on checks than it takes to read the frames
        shape, strides = (1 + (len(samples) - n_fft) // hop, n_fft), (hop * samples.itemsize, samples.itemsize)
        return self._power_of(np.lib.stride_tricks.as_strided(samples, shape, strides, writeable=False))

    def _mel_power(
        self, samples: NDArray[np.float32], inner_power: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        settings = self.settings
        if samples.shape != (settings.window_samples,):
            raise ValueError(
                f"expected {settings.window_samples} mono samples ({settings.window_seconds} s at "
                f"{settings.sample_rate} Hz), got an array of shape {samples.shape}"
            )
        padding = np.zeros(settings.n_fft // 2, np.float32)
        padded = np.concatenate([padding, samples.astype(np.float32, copy=False), padding])
        if inner_power is None:
            return self.frame_power(padded).T
        edges, leading = self._power_of(padded[self._edge_samples]), settings.leading_frames
        return np.concatenate([edges[:leading], inner_power, edges[leading:]]).T

    def _power_of(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.empty((len(frames), self.settings.n_mels), np.float32)
        for first in range(0, len(frames), _FRAMES_AT_ONCE):
            some = slice(first, first + _FRAMES_AT_ONCE)
            spectrum = np.fft.rfft(frames[some] * self._hann)
            squared = spectrum.real**2 + spectrum.imag**2
            for bands, bins, weights in self._mel_bands:
                np.matmul(squared[:, bins], weights, out=power[some, bands])
        return power

    def _indices(self, power: NDArray[np.float32]) -> NDArray[np.uint8]:
        brightness = to_decibels(power, top_db=self.settings.top_db) / np.float32(self.settings.top_db) + np.float32(1)
        # the long axis first, and contiguous rows: six times as fast as the other way round
        columns = self._columns.resize(np.ascontiguousarray(brightness.T))
        resized = self._rows.resize(np.ascontiguousarray(columns.T[::-1]))
        indices: NDArray[np.uint8] = np.rint(resized * np.float32(255)).astype(np.uint8)
        return indices

    @cached_property
    def _edge_samples(self) -> NDArray[np.intp]:
        """Indices into a padded window of the samples of each frame that reaches into the padding."""
        first, inner, last = self.settings.leading_frames, self.settings.inner_frames, self.settings.frame_count
        edges = np.array([*range(first), *range(first + inner, last)], np.intp)
        return edges[:, None] * self.settings.hop_length + np.arange(self.settings.n_fft)

    @cached_property
    def _hann(self) -> NDArray[np.float32]:
        return periodic_hann(self.settings.n_fft).astype(np.float32)

    @cached_property
    def _mel_bands(self) -> list[tuple[slice, slice, NDArray[np.float32]]]:
        """Groups of neighbouring bands, the FFT bins that they use, and their weights, transposed."""
        weights = mel_weights(self.settings)
        groups = []
        for first in range(0, len(weights), _BANDS_AT_ONCE):
            bands = slice(first, first + _BANDS_AT_ONCE)
            used = np.flatnonzero(weights[bands].any(axis=0))
            bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
            groups.append((bands, bins, np.ascontiguousarray(weights[bands, bins].T)))
        return groups

    @cached_property
    def _rows(self) -> _BilinearResize:
        return _BilinearResize(self.settings.n_mels, self.settings.image_height)

    @cached_property
    def _columns(self) -> _BilinearResize:
        return _BilinearResize(self.settings.frame_count, self.settings.image_width)


AMIN = 1e-10
"""Lower limit of the power, so that silence has a finite level."""


def to_decibels(power: NDArray[np.float32], *, top_db: float, amin: float = AMIN) -> NDArray[np.float32]:
    """Convert power to decibels relative to the maximum, at least ``-top_db``.

    Parameters
    ----------
    power : np.ndarray, float32 >= 0
    top_db : float > 0, dB
    amin : float > 0
        Lower limit of the power.

    Returns
    -------
    decibels : np.ndarray of the same shape, float32 in [-top_db, 0]

    See Also
    --------
    librosa.power_to_db : the reference, with ``ref=np.max``
    """
    loudest = max(float(power.max()), amin)
    decibels = 10.0 * np.log10(np.maximum(power, amin) / np.float32(loudest))
    return np.maximum(decibels, np.float32(-top_db)).astype(np.float32, copy=False)


def periodic_hann(n_fft: int) -> NDArray[np.float64]:
    """Periodic Hann window, ``[shape=(n_fft,)], float64 in [0, 1]``."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def mel_weights(settings: SpectrogramSettings) -> NDArray[np.float32]:
    """Triangular mel filters of unit area, after Slaney's Auditory Toolbox (1998).

    Returns
    -------
    weights : np.ndarray [shape=(n_mels, 1 + n_fft // 2)], float32 >= 0

    See Also
    --------
    librosa.filters.mel : the reference, with ``htk=False, norm="slaney"``
    """
    bins_hz = np.fft.rfftfreq(settings.n_fft, 1.0 / settings.sample_rate)
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(settings.sample_rate / 2.0), settings.n_mels + 2))
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    unit_area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    weights: NDArray[np.float32] = (triangles * unit_area[:, None]).astype(np.float32)
    return weights


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)


class _BilinearResize:
    """Bilinear interpolation along the first axis, with half-pixel centres and without antialiasing."""

    def __init__(self, size: int, target: int) -> None:
        self._changes_nothing = size == target
        centres = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0.0, size - 1.0)
        self._below = np.floor(centres).astype(np.intp)
        self._above = np.minimum(self._below + 1, size - 1)
        self._weight = (centres - self._below).astype(np.float32)[:, None]

    def resize(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._changes_nothing:
            return array
        below = array.take(self._below, axis=0)
        resized: NDArray[np.float32] = array.take(self._above, axis=0)
        resized -= below
        resized *= self._weight
        resized += below
        return resized

    def matrix(self, size: int) -> NDArray[np.float32]:
        rows = np.arange(len(self._below))
        weights = np.zeros((len(rows), size), np.float32)
        weights[rows, self._below] = 1 - self._weight[:, 0]
        weights[rows, self._above] += self._weight[:, 0]
        return weights


def stretch_weights(size: int, target: int) -> NDArray[np.float32]:
    """The bilinear interpolation along one axis of an image as a matrix.

    Returns
    -------
    weights : np.ndarray [shape=(target, size)], float32 in [0, 1]
        Each row sums to 1.
    """
    return _BilinearResize(size, target).matrix(size)
