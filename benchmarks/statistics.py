"""The statistics of a report: percentiles of latencies, ratios of medians, and proportions with their interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from benchmarks.documents import Constraint

_SAMPLE_DIGITS = 4
"""Of a millisecond. Every figure is computed from the rounded samples, so that a reader gets the same."""

PositiveFloat = Annotated[float, Constraint("exclusiveMinimum", 0)]
Milliseconds = Annotated[float, Constraint("minimum", 0)]
Fraction = Annotated[float, Constraint("minimum", 0), Constraint("maximum", 1)]
Samples = Annotated[tuple[Milliseconds, ...], Constraint("minItems", 1)]


@dataclass(frozen=True)
class Latency:
    """Latency samples in the order of measuring, none left out, and their summary."""

    p50_ms: Milliseconds
    """The median. Percentiles lie between samples by linear interpolation."""
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    mean_ms: Milliseconds
    max_ms: Milliseconds
    std_ms: Milliseconds
    """With n - 1 in its denominator; 0 for a single sample."""
    samples_ms: Samples

    @classmethod
    def of(cls, samples_ms: Iterable[float]) -> Latency:
        """Summarise at least one sample, ms; samples are rounded to a tenth of a microsecond first."""
        samples = tuple(round(sample, _SAMPLE_DIGITS) for sample in samples_ms)
        values = np.asarray(samples, np.float64)
        p50, p90, p99 = map(float, np.percentile(values, (50, 90, 99)))
        std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return cls(p50, p90, p99, float(values.min()), float(values.mean()), float(values.max()), std, samples)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, taken round by round, so that whatever slows the machine meanwhile slows both."""

    median: PositiveFloat
    low: PositiveFloat
    """The lowest of the rounds."""
    high: PositiveFloat
    """The highest of the rounds."""
    rounds: tuple[PositiveFloat, ...]

    @classmethod
    def of(cls, slow_ms: Sequence[float], fast_ms: Sequence[float], *, rounds: int) -> Ratio:
        """How many times as long ``slow_ms`` takes as ``fast_ms``.

        Parameters
        ----------
        slow_ms, fast_ms : sequence of float, ms
            In the order of measuring; equally many in each round, but one may have more than the other.
        rounds : int > 0
        """
        slow, fast = (
            np.median(np.reshape(np.asarray(samples, np.float64), (rounds, -1)), axis=1)
            for samples in (slow_ms, fast_ms)
        )
        ratios = slow / fast
        return cls(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), tuple(ratios.tolist()))


@dataclass(frozen=True)
class Proportion:
    """A proportion of windows with its 95 % interval (Wilson 1927), in which a song counts as one trial."""

    value: Fraction
    low: Fraction
    high: Fraction

    @classmethod
    def of(cls, value: float, *, trials: int) -> Proportion:
        """The proportion of so many trials, with its interval.

        Parameters
        ----------
        value : float in [0, 1]
        trials : int > 0
        """
        from train.evaluation.metrics import wilson_interval

        return cls(value, *wilson_interval(value * trials, trials))
