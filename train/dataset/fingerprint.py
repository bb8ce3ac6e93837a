"""Audio fingerprints, which find the same recording at another level, in another format or at another bit rate.

The method is that of Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): 32 bits a frame,
each the sign of a difference of band energies along time and frequency, compared by their bit error rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples

Fingerprint = NDArray[np.uint32]
"""``[shape=(n_frames,)], uint32``; about 43 frames a second."""

MOST_DIFFERENT = 0.22
"""Largest bit error rate of the same recording. The paper uses 0.35 for 256 frames; a clip has fewer than half as many,
so that chance matches are likelier. Twelve recordings and ten synthesised songs, encoded again as mp3 and Vorbis at
32 kbit/s to 320 kbit/s, differ from themselves by 0.00 to 0.17; the nearest of 124 251 pairs of different clips of
GTZAN differs by 0.31, and of synthesised songs by 0.37."""

_SAMPLE_RATE = 44_100 / 8  # close to the paper's 5 kHz, and fast to resample to
_N_FFT = 2048
_HOP_LENGTH = 128
_BANDS = 33
_LOWEST_HZ, _HIGHEST_HZ = 300.0, 2000.0

_COMMONPLACE = 64
"""A frame that so many clips have identifies none of them: a steady tone, a rest."""


def fingerprint(samples: Samples, *, sample_rate: int) -> Fingerprint:
    """Compute the fingerprint of a clip.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    sample_rate : int > 0, Hz

    Returns
    -------
    frames : np.ndarray [shape=(n_frames,)], uint32
        Empty if the audio is shorter than two overlapping frames, 0.39 s.
    """
    import soxr
    from scipy.fft import rfft

    sound = soxr.resample(samples, sample_rate, _SAMPLE_RATE, quality="LQ")
    if len(sound) < _N_FFT + _HOP_LENGTH:
        return np.zeros(0, np.uint32)
    window, edges = _tables()
    frames = np.lib.stride_tricks.sliding_window_view(sound, _N_FFT)[::_HOP_LENGTH]
    spectrum = rfft(frames * window, overwrite_x=True).view(np.float32)  # real and imaginary parts in turn
    energy = np.add.reduceat(np.square(spectrum[:, 2 * edges[0] : 2 * edges[-1]]), 2 * (edges[:-1] - edges[0]), axis=1)
    rises = np.diff(np.diff(energy, axis=1), axis=0) > 0
    bits: Fingerprint = np.packbits(rises, axis=1).view(">u4").ravel().astype(np.uint32)
    return bits


def same_recordings(songs: Sequence[Sequence[Fingerprint]]) -> list[tuple[int, int]]:
    """Find pairs of songs of which half the clips, of the song with fewer clips, or four are the same recording.

    Four are enough since two encodings may differ in length: only their clips at given offsets are then of the same
    moment, not those that are spread over each.

    Parameters
    ----------
    songs : sequence of sequence of Fingerprint
        For each song the fingerprints of its clips.

    Returns
    -------
    pairs : list of (int, int)
        Indices of songs, the lower first, sorted.
    """
    clips = [(song, frames) for song, fingerprints in enumerate(songs) for frames in fingerprints]
    owner = np.array([song for song, _ in clips], np.int64)
    matched: dict[tuple[int, int], set[int]] = defaultdict(set)
    for one, other, shift in _candidates([frames for _, frames in clips], owner):
        if _bit_error_rate(clips[one][1], clips[other][1], shift) < MOST_DIFFERENT:
            matched[int(owner[one]), int(owner[other])].add(one)
    fewer = {pair: min(len(songs[pair[0]]), len(songs[pair[1]])) for pair in matched}
    return sorted(pair for pair, found in matched.items() if len(found) >= min(fewer[pair] / 2, _ENOUGH))


_ENOUGH = 4
"""Clips in common that make two songs the same, however many they have: those of the offsets of the original."""


def _candidates(clips: Sequence[Fingerprint], owner: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Pairs of clips of different songs that have a frame in common, the lower first, with its lag in frames."""
    if not clips:
        return
    values = np.concatenate(clips)
    clip = np.repeat(np.arange(len(clips)), [len(frames) for frames in clips])
    place = np.concatenate([np.arange(len(frames)) for frames in clips])
    order = np.lexsort((place, clip, values))
    values, clip, place = values[order], clip[order], place[order]
    _, run, run_lengths = np.unique(values, return_inverse=True, return_counts=True)
    specific = run_lengths[run] < _COMMONPLACE
    seen: set[tuple[int, int, int]] = set()
    for distance in range(1, _COMMONPLACE):
        # Sorted, equal frames are neighbours: all pairs of a run are some distance apart.
        first = np.flatnonzero((values[distance:] == values[:-distance]) & specific[:-distance])
        first = first[owner[clip[first]] != owner[clip[first + distance]]]
        lags = place[first] - place[first + distance]
        seen.update(zip(clip[first].tolist(), clip[first + distance].tolist(), lags.tolist(), strict=True))
    yield from sorted(seen)


def _bit_error_rate(one: Fingerprint, other: Fingerprint, shift: int) -> float:
    """Fraction of different bits in the overlap, in [0, 1]; 1 if the overlap is less than half of the shorter clip."""
    begin, end = max(shift, 0), min(len(one), len(other) + shift)
    if 2 * (end - begin) < min(len(one), len(other)):
        return 1.0
    differing = one[begin:end] ^ other[begin - shift : end - shift]
    return float(np.unpackbits(differing.view(np.uint8)).mean())


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The Hann window, and the FFT bins where bands begin, with the end of the last band."""
    hz = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BANDS + 1)
    return np.hanning(_N_FFT).astype(np.float32), np.rint(hz * _N_FFT / _SAMPLE_RATE).astype(np.int64)
