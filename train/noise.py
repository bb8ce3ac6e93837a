"""Noise of a colour under sound, at a signal-to-noise ratio."""

from __future__ import annotations

import numpy as np

from edge_runtime.audio import Samples

PINK = 0.5
"""Equal power in every octave, as the noise of rooms and streets nearly has."""


def add_noise(samples: Samples, *, snr_db: float, slope: float, random: np.random.Generator) -> Samples:
    """Samples with noise.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    snr_db : float, dB
        Mean power of the samples against that of the noise.
    slope : float >= 0
        By which power of the frequency the noise's amplitude falls: 0 is white, 0.5 pink, 1 brown.
    random : np.random.Generator

    Returns
    -------
    noisy : np.ndarray [shape=(n,)], float32
        It may leave [-1, 1].
    """
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -slope
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, len(samples))
    noise *= np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return samples + noise.astype(np.float32)
