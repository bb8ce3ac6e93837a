"""Two seconds of sound to one mel-spectrogram picture: the only place where the project computes one.

Training, export, listening and benchmarks all call it, so a model never sees other pictures than it was trained on.
The formulas are librosa's (``melspectrogram`` with Slaney mel bands, then ``power_to_db``), and the tests hold it to
librosa within 1e-3 dB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError

Colormap = NDArray[np.uint8]
"""256 RGB triples, ``[shape=(256, 3)], uint8``, from the quietest to the loudest."""


_HIGHEST = {"sample_rate": 192_000, "window_seconds": 60, "image_height": 1024, "image_width": 1024}
"""What no setting of sense exceeds: beyond it memory would."""


@dataclass(frozen=True)
class SpectrogramSettings:
    """Every number that makes a picture out of sound. Two equal settings make equal pictures."""

    sample_rate: int = 44_100
    """Hz. Sound of any other rate is resampled to it first."""
    window_seconds: float = 2.0
    """Seconds of sound in one picture."""
    n_fft: int = 512
    """Samples in one analysis frame, and the length of its periodic Hann window."""
    hop_length: int = 256
    """Samples from one frame to the next."""
    n_mels: int = 64
    """Mel bands, from 0 Hz to half the sample rate."""
    top_db: float = 80.0
    """Decibels from the picture's loudest point down to its black."""
    image_height: int = 224
    """Pixels from the lowest to the highest band."""
    image_width: int = 224
    """Pixels from the first to the last frame."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = int | float if field.name in ("window_seconds", "top_db") else int
            highest = _HIGHEST.get(field.name, 10_000)
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= highest:
                raise TmgcError(
                    f"spectrogram setting {field.name} must be a number above 0 and at most {highest}, got {value!r}"
                )
        if self.n_fft > self.window_samples:
            raise TmgcError(f"n_fft must fit into a window of {self.window_samples} samples, got {self.n_fft}")

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def frame_count(self) -> int:
        """Frames in one picture before it is scaled: centred frames, so one more than the hops that fit."""
        return 1 + (self.window_samples - self.n_fft % 2) // self.hop_length

    @property
    def leading_frames(self) -> int:
        """Frames that reach back before the window's first sample, where they see zeros."""
        return -(-(self.n_fft // 2) // self.hop_length)

    @property
    def inner_frames(self) -> int:
        """Frames that see nothing but the window's sound, and so are the same in every window that holds them."""
        last_start = self.window_samples - self.n_fft + self.n_fft // 2
        return 1 + last_start // self.hop_length - self.leading_frames

    def to_json(self) -> dict[str, int | float]:
        """The settings as they stand in a model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SpectrogramSettings:
        """The settings of a model card. Unknown or missing names are an error: a picture must not be guessed."""
        expected = {field.name for field in fields(cls)}
        if set(document) != expected:
            odd = sorted(expected.symmetric_difference(document))
            raise TmgcError(
                f"spectrogram settings must name {', '.join(sorted(expected))}; missing or unknown: {', '.join(odd)}. "
                "Export the model again with this version of tmgc-export"
            )
        return cls(**document)


_FRAMES_AT_ONCE = 32
"""Few enough for their spectrum to stay in a processor's cache: all at once take three times as long."""

_BANDS_AT_ONCE = 16
"""Their products are so small that a BLAS computes them in one thread, and does not wake all cores for it."""


class Spectrogram:
    """The picture of a window of sound, with everything that does not depend on the sound computed once.

    Parameters
    ----------
    settings : SpectrogramSettings
    colormap : np.ndarray [shape=(256, 3)], uint8

    Examples
    --------
    >>> spectrogram = Spectrogram(SpectrogramSettings(), colormap)      # doctest: +SKIP
    >>> picture = spectrogram.image(samples)                           # doctest: +SKIP
    """

    def __init__(self, settings: SpectrogramSettings, colormap: Colormap) -> None:
        if colormap.shape != (256, 3) or colormap.dtype != np.uint8:
            raise TmgcError(f"a colormap is 256 RGB triples of uint8, got {colormap.dtype} of shape {colormap.shape}")
        self.settings = settings
        self.colormap = colormap

    def image(self, samples: NDArray[np.float32], inner_power: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
        """The picture of one window.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
            Mono, at ``settings.sample_rate``.
        inner_power : np.ndarray [shape=(inner_frames, n_mels)], float32 >= 0, optional
            The :meth:`frame_power` of the window's inner frames, where it is known already.

        Returns
        -------
        picture : np.ndarray [shape=(image_height, image_width, 3)], uint8, RGB, low notes at the bottom
        """
        # take and not colormap[...], which needs four times as long.
        return self.colormap.take(self._grey(self._mel_power(samples, inner_power)), axis=0)

    def index_image(self, samples: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The picture of one window before it is coloured: turned so that low notes are at the bottom, and scaled.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]

        Returns
        -------
        grey : np.ndarray [shape=(image_height, image_width)], uint8
            Indices into the colormap.
        """
        return self._grey(self._mel_power(samples))

    def decibels(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel-spectrogram of one window in decibels against its own maximum.

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

    def frame_power(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel power of the frames that lie wholly in a stretch of sound, the first beginning at its first sample.

        Parameters
        ----------
        sound : np.ndarray [shape=(n,)], float32 in [-1, 1], n >= n_fft

        Returns
        -------
        power : np.ndarray [shape=(1 + (n - n_fft) // hop_length, n_mels)], float32 >= 0
        """
        n_fft, hop = self.settings.n_fft, self.settings.hop_length
        sound = np.ascontiguousarray(sound)
        # as_strided and not sliding_window_view, which checks for longer than the frames take to read.
        shape, strides = (1 + (len(sound) - n_fft) // hop, n_fft), (hop * sound.itemsize, sound.itemsize)
        return self._power_of(np.lib.stride_tricks.as_strided(sound, shape, strides, writeable=False))

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

    def _grey(self, power: NDArray[np.float32]) -> NDArray[np.uint8]:
        brightness = to_decibels(power, top_db=self.settings.top_db) / np.float32(self.settings.top_db) + np.float32(1)
        # The long axis first, and contiguous rows: six times as quick as the other way round.
        columns = self._columns.stretch(np.ascontiguousarray(brightness.T))
        scaled = self._rows.stretch(np.ascontiguousarray(columns.T[::-1]))
        grey: NDArray[np.uint8] = np.rint(scaled * np.float32(255)).astype(np.uint8)
        return grey

    @cached_property
    def _edge_samples(self) -> NDArray[np.intp]:
        """Where in a padded window the samples of each frame stand that sees padding."""
        first, inner, last = self.settings.leading_frames, self.settings.inner_frames, self.settings.frame_count
        edges = np.array([*range(first), *range(first + inner, last)], np.intp)
        return edges[:, None] * self.settings.hop_length + np.arange(self.settings.n_fft)

    @cached_property
    def _hann(self) -> NDArray[np.float32]:
        return periodic_hann(self.settings.n_fft).astype(np.float32)

    @cached_property
    def _mel_bands(self) -> list[tuple[slice, slice, NDArray[np.float32]]]:
        """Some neighbouring bands, the bins that any of them takes from, and their weights, transposed."""
        weights = mel_weights(self.settings)
        groups = []
        for first in range(0, len(weights), _BANDS_AT_ONCE):
            bands = slice(first, first + _BANDS_AT_ONCE)
            taken = np.flatnonzero(weights[bands].any(axis=0))
            bins = slice(taken[0], taken[-1] + 1) if len(taken) else slice(0, 1)
            groups.append((bands, bins, np.ascontiguousarray(weights[bands, bins].T)))
        return groups

    @cached_property
    def _rows(self) -> _Stretch:
        return _Stretch(self.settings.n_mels, self.settings.image_height)

    @cached_property
    def _columns(self) -> _Stretch:
        return _Stretch(self.settings.frame_count, self.settings.image_width)


AMIN = 1e-10
"""Power below which sound counts as silence, so that its decibels are a number."""


def to_decibels(power: NDArray[np.float32], *, top_db: float, amin: float = AMIN) -> NDArray[np.float32]:
    """Power to decibels against the array's own maximum, with a floor ``top_db`` below it.

    Parameters
    ----------
    power : np.ndarray, float32 >= 0
    top_db : float > 0, dB
    amin : float > 0
        Powers below it count as ``amin``, so that silence is a number.

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
    """Hann window whose period is the frame, ``[shape=(n_fft,)], float64 in [0, 1]``."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def mel_weights(settings: SpectrogramSettings) -> NDArray[np.float32]:
    """Triangular mel filters after Slaney's Auditory Toolbox (1998), each of unit area.

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


class _Stretch:
    """Bilinear scaling of an array's first axis, with half-pixel centres and no antialiasing."""

    def __init__(self, size: int, target: int) -> None:
        centres = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0.0, size - 1.0)
        self._below = np.floor(centres).astype(np.intp)
        self._above = np.minimum(self._below + 1, size - 1)
        self._share = (centres - self._below).astype(np.float32)[:, None]

    def stretch(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        below = array.take(self._below, axis=0)
        stretched: NDArray[np.float32] = array.take(self._above, axis=0)
        stretched -= below
        stretched *= self._share
        stretched += below
        return stretched


def stretch_weights(size: int, target: int) -> NDArray[np.float32]:
    """The scaling of a picture's axis as a matrix, for who must multiply instead of look up.

    Returns
    -------
    weights : np.ndarray [shape=(target, size)], float32 in [0, 1]
        Each row adds up to 1.
    """
    return _Stretch(size, target).stretch(np.eye(size, dtype=np.float32))
