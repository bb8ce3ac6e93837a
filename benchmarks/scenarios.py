"""How windows come: one after another, one each hop, or all at once; after MLPerf's scenarios (Reddi et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.pipelines import Pipeline
    from edge_runtime.audio import Samples

SINGLE = "single"
"""Each window follows the answer to the one before: MLPerf's single stream."""
PACED = "paced"
"""A window each hop, as listening gets them; time counts from when a window is due."""
OFFLINE = "offline"
"""All windows are there, as in an archive: batches, of whose time each window has its share."""
SCENARIOS = (SINGLE, PACED, OFFLINE)

BATCH = 32
"""Windows that are handed over at once offline: what Keras ``predict`` takes by itself."""

Take = Callable[[int], "Samples"]
"""Gives the samples of the excerpt of a number: from its file, or from memory."""


@dataclass(frozen=True)
class Load:
    """One of the scenarios, and its hop."""

    scenario: str = SINGLE
    hop_seconds: float = 1.0
    """From one window to the next, where they are paced."""

    def to_json(self) -> dict[str, Any]:
        """The load as it stands in a report and as a row's process is told of it."""
        return asdict(self)


SINGLE_STREAM = Load()


def timed(pipeline: Pipeline, take: Take, numbers: Sequence[int], load: Load) -> list[dict[str, Any]]:
    """Answer windows as the load brings them.

    Parameters
    ----------
    pipeline : Pipeline
    take : callable
    numbers : sequence of int
        Of the excerpts, in order.
    load : Load

    Returns
    -------
    windows : list of dict
        ``excerpt``, ``total_ms``, ``stages_ms``, ``genre`` and ``late_ms`` of each: how long after it was due its
        turn came.
    """
    if load.scenario == PACED:
        return _paced(pipeline, take, numbers, load.hop_seconds)
    if load.scenario == OFFLINE:
        starts = range(0, len(numbers), BATCH)
        return [window for start in starts for window in _batch(pipeline, take, numbers[start : start + BATCH])]
    return [_one(pipeline, take, number) for number in numbers]


def _one(pipeline: Pipeline, take: Take, number: int, *, due: float | None = None) -> dict[str, Any]:
    begun = perf_counter()
    samples = take(number)
    read = perf_counter()
    answered = pipeline.prediction(samples)
    done = perf_counter()
    since = begun if due is None else due
    return {
        "excerpt": number,
        "total_ms": (done - since) * 1e3,
        "stages_ms": {"read": (read - begun) * 1e3, **answered.stages_ms},
        "genre": answered.genre,
        "late_ms": (begun - since) * 1e3,
    }


def _paced(pipeline: Pipeline, take: Take, numbers: Sequence[int], hop_seconds: float) -> list[dict[str, Any]]:
    begun, windows = perf_counter(), []
    for place, number in enumerate(numbers, start=1):
        due = begun + place * hop_seconds
        sleep(max(0.0, due - perf_counter()))
        windows.append(_one(pipeline, take, number, due=due))
    return windows


def _batch(pipeline: Pipeline, take: Take, numbers: Sequence[int]) -> list[dict[str, Any]]:
    begun = perf_counter()
    batch = [take(number) for number in numbers]
    read = perf_counter()
    predictions = pipeline.answer_all(batch)
    total_ms = (perf_counter() - begun) * 1e3 / len(numbers)
    read_ms = (read - begun) * 1e3 / len(numbers)
    return [
        {
            "excerpt": number,
            "total_ms": total_ms,
            "stages_ms": {"read": read_ms, **answered.stages_ms},
            "genre": answered.genre,
            "late_ms": 0.0,
        }
        for number, answered in zip(numbers, predictions, strict=True)
    ]
