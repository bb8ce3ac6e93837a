"""CPU time of one window of a model, as JSON; run by ``prove.sh`` with the Python of an emulated machine.

A stand-in for counted instructions, for which Debian's QEMU has no plugin: it compares models with each other, and is
not the speed of a board.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from statistics import median
from time import process_time

import numpy as np

from edge_runtime.classifier import GenreClassifier

WINDOWS = 5


def cpu_ms(work: Callable[[], object]) -> float:
    """Median CPU time of all threads, ms; the first time, which sets things up, does not count."""
    times_ms = []
    for _ in range(WINDOWS + 1):
        begun = process_time()
        work()
        times_ms.append((process_time() - begun) * 1e3)
    return round(median(times_ms[1:]), 2)


def main(model: str, engine: str) -> None:
    """Print the CPU time of the spectrogram and of the whole window."""
    classifier = GenreClassifier.open(model, threads=1, engine=engine)
    noise = np.random.default_rng(0).normal(0, 0.1, classifier.card.spectrogram.window_samples).astype(np.float32)
    times = {
        "window_cpu_ms": cpu_ms(lambda: classifier.classify(noise)),
        "spectrogram_cpu_ms": cpu_ms(lambda: classifier.spectrogram.image(noise)),
    }
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
