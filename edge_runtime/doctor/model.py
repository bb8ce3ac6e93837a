"""Checks of the model file and of the interpreter that runs it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_runtime.classifier import GenreClassifier
from edge_runtime.doctor.finding import OK, PROBLEM, WARNING, Finding
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import Interpreter, open_interpreter
from edge_runtime.interpreters.litert import LiteRTInterpreter, import_runtime
from edge_runtime.models import default_model

HOPS_SECONDS = (1.0, 2.0)
"""Hops of the verdict: the usual one and back to back."""


def check_interpreter() -> Finding:
    """Which interpreter runs ``.tflite`` files."""
    try:
        _, runtime = import_runtime()
    except TmgcError as error:
        return Finding("interpreter", PROBLEM, str(error))
    if runtime.startswith("ai-edge-litert"):
        return Finding("interpreter", OK, runtime)
    return Finding("interpreter", WARNING, runtime, "pip install ai-edge-litert, which is several times as fast")


def check_model(model: Path | None) -> Iterator[Finding]:
    """The model, its card, XNNPACK, and three windows of it; what a missing model hides is left out."""
    try:
        model = model or default_model()
        interpreter = open_interpreter(model)
    except TmgcError as error:
        yield Finding("model", PROBLEM, str(error))
        return
    yield _card_finding(model, interpreter)
    yield check_acceleration(interpreter)
    yield self_test(interpreter)


def _card_finding(model: Path, interpreter: Interpreter) -> Finding:
    card = interpreter.card
    settings = card.spectrogram
    found = (
        f"{model}: {card.name}, {card.export.get('recipe')}, {settings.image_width} x {settings.image_height} pixels, "
        f"{settings.sample_rate} Hz, {', '.join(card.genres)}"
    )
    if card.warning:
        return Finding("model", WARNING, f"{found}; {card.warning}", "train one on music of your own: tmgc-train all")
    return Finding("model", OK, found)


def check_acceleration(interpreter: Interpreter) -> Finding:
    """Whether XNNPACK runs the network."""
    if not isinstance(interpreter, LiteRTInterpreter):
        return Finding("XNNPACK", OK, f"not needed by {interpreter.runtime}")
    if interpreter.accelerated:
        return Finding("XNNPACK", OK, f"runs the network on {interpreter.threads} thread(s)")
    return Finding("XNNPACK", WARNING, "does not run", "pip install --upgrade ai-edge-litert")


def self_test(interpreter: Interpreter) -> Finding:
    """Three windows of noise, how long they take, and at which hop that keeps up."""
    classifier = GenreClassifier(interpreter)
    noise = np.random.default_rng(0).normal(0, 0.1, (3, classifier.card.spectrogram.window_samples))
    heard = [classifier.classify(window.astype(np.float32)) for window in noise]
    if not all(math.isclose(float(window.probabilities.sum()), 1, abs_tol=1e-2) for window in heard):
        return Finding("self-test", PROBLEM, "probabilities do not add up to 1", "copy the model again, or another one")
    return verdict([window.spectrogram_ms + window.model_ms for window in heard])


def verdict(latencies_ms: list[float]) -> Finding:
    """Which hop the machine keeps up with.

    Parameters
    ----------
    latencies_ms : list of float
        Of each window. The first also warms up, and is shown but not judged by.
    """
    slowest = max(latencies_ms[1:]) / 1e3
    keeps = {hop: slowest < hop for hop in HOPS_SECONDS}
    found = f"{', '.join(f'{latency:.0f}' for latency in latencies_ms)} ms a window; " + ", ".join(
        f"hop {hop} s: keeps up {hop / slowest:.1f} times over" if kept else f"hop {hop} s: does not keep up"
        for hop, kept in keeps.items()
    )
    if all(keeps.values()):
        return Finding("self-test", OK, found)
    if any(keeps.values()):
        return Finding("self-test", WARNING, found, "listen with --hop 2, or take the int8 export or a small network")
    return Finding("self-test", PROBLEM, found, "take the int8 export, or a small network: mobilenet_v3_small")
