"""How well a row names the held-out songs, as ``tmgc-export`` found out when it proved the very same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rows import ORIGINAL, TFLITE_RUNTIME, RowSpec
from train.shares import wilson_interval


def quality_of(row: RowSpec, sha256: str | None, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Accuracy, and agreement with Keras, on the held-out split.

    Parameters
    ----------
    row : RowSpec
    sha256 : str or None
        Of its model: a report about another file of the same name does not count.
    reports : sequence of dict
        Of the run's ``parity.json``.

    Returns
    -------
    quality : dict or None
        ``split``, ``windows``, ``songs``, ``accuracy``, and ``agreement`` (top-1, None for Keras itself), each with
        ``share``, ``low`` and ``high``. Windows of a song are alike, so each 95 % interval (Wilson 1927) counts a song
        as one trial. None where nobody has found out: for the original, whose pictures differ from those that the
        network was trained on, and for tflite-runtime, which did not run the file in its proof.
    """
    if row.pipeline in (ORIGINAL, TFLITE_RUNTIME) or sha256 is None:
        return None
    own = "sha256" if row.is_export else "keras_sha256"
    found = next((report["parity"] for report in reports if report[own] == sha256), None)
    if found is None:
        return None
    songs, accuracy = found["songs"], found["accuracy"]
    return {
        "split": found["split"],
        "windows": found["windows"],
        "songs": songs,
        "accuracy": _interval(accuracy["accuracy_file" if row.is_export else "accuracy_keras"], songs),
        "agreement": _interval(found["top1_agreement"], songs) if row.is_export else None,
    }


def _interval(share: float, songs: int) -> dict[str, float]:
    low, high = wilson_interval(share * songs, songs)
    return {"share": share, "low": low, "high": high}
