"""How windows arrive: one after another, one each hop, or all at once; after MLPerf's scenarios (Reddi et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from benchmarks.pipelines import Pipeline
    from edge_runtime.audio import Samples

Scenario = Literal["single", "paced", "offline"]

SINGLE: Final = "single"
"""Each window follows the prediction for the one before: MLPerf's single stream."""
PACED: Final = "paced"
"""A window each hop, as listening gets them; latency counts from when a window is due."""
OFFLINE: Final = "offline"
"""All windows are there, as in an archive: batches, of whose time each window has its share."""
SCENARIOS: tuple[Scenario, ...] = (SINGLE, PACED, OFFLINE)

BATCH = 32
"""Windows in a batch: what Keras ``predict`` takes by default."""

ReadWindow = Callable[[int], "Samples"]
"""Returns the samples of the excerpt of a number: from its file, or from memory."""


@dataclass(frozen=True)
class Load:
    """One of the scenarios, and its hop."""

    scenario: Scenario = SINGLE
    hop_s: float = 1.0
    """From one window to the next, where they are paced."""


SINGLE_STREAM = Load()


@dataclass(frozen=True)
class Window:
    """One window, timed."""

    excerpt: int
    """Number of the excerpt."""
    total_ms: float
    stages_ms: dict[str, float]
    class_index: int
    """The most likely genre."""
    late_ms: float = 0.0
    """From when the window was due to the start of its processing."""


def time_windows(pipeline: Pipeline, read: ReadWindow, excerpts: Sequence[int], load: Load) -> list[Window]:
    """Classify windows as the load brings them.

    Parameters
    ----------
    pipeline : Pipeline
    read : callable
    excerpts : sequence of int
        Numbers of the excerpts, in order.
    load : Load

    Returns
    -------
    windows : list of Window
    """
    if load.scenario == PACED:
        return _time_paced(pipeline, read, excerpts, load.hop_s)
    if load.scenario == OFFLINE:
        batches = (excerpts[start : start + BATCH] for start in range(0, len(excerpts), BATCH))
        return [window for batch in batches for window in _time_batch(pipeline, read, batch)]
    return [_time_one(pipeline, read, excerpt) for excerpt in excerpts]


def _time_one(pipeline: Pipeline, read: ReadWindow, excerpt: int, *, due: float | None = None) -> Window:
    begun = perf_counter()
    samples = read(excerpt)
    decoded = perf_counter()
    prediction = pipeline.predict(samples)
    done = perf_counter()
    since = begun if due is None else due
    stages_ms = {"read": (decoded - begun) * 1e3, **prediction.stages_ms}
    return Window(excerpt, (done - since) * 1e3, stages_ms, prediction.class_index, (begun - since) * 1e3)


def _time_paced(pipeline: Pipeline, read: ReadWindow, excerpts: Sequence[int], hop_s: float) -> list[Window]:
    begun, windows = perf_counter(), []
    for number, excerpt in enumerate(excerpts, start=1):
        due = begun + number * hop_s
        sleep(max(0.0, due - perf_counter()))
        windows.append(_time_one(pipeline, read, excerpt, due=due))
    return windows


def _time_batch(pipeline: Pipeline, read: ReadWindow, excerpts: Sequence[int]) -> list[Window]:
    begun = perf_counter()
    batch = [read(excerpt) for excerpt in excerpts]
    decoded = perf_counter()
    predictions = pipeline.predict_batch(batch)
    total_ms = (perf_counter() - begun) * 1e3 / len(excerpts)
    read_ms = (decoded - begun) * 1e3 / len(excerpts)
    return [
        Window(excerpt, total_ms, {"read": read_ms, **prediction.stages_ms}, prediction.class_index)
        for excerpt, prediction in zip(excerpts, predictions, strict=True)
    ]
