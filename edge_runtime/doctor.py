"""Checks of a machine that is to listen: each examines one thing and tells what to do about it."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import MonoResampler, level_dbfs
from edge_runtime.classifier import GenreClassifier
from edge_runtime.engine_choice import Verified, open_verified
from edge_runtime.engine_memory import PastTrial
from edge_runtime.errors import InvalidAnswerError, TmgcError, pip_install
from edge_runtime.interpreters import AUTO, Interpreter, check_engine, check_threads
from edge_runtime.interpreters.litert import LiteRTInterpreter, import_runtime
from edge_runtime.models import default_model
from edge_runtime.sources.portaudio import Capture, Device, find_device, list_devices
from edge_runtime.system_info import board_model, thermal_state

OK = "ok"
WARNING = "warning"
PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    state: str
    """:data:`OK`, :data:`WARNING` (it works, but could be better) or :data:`PROBLEM`."""
    found: str
    fix: str = ""
    """What to do; empty where nothing needs to be done, or where ``found`` includes it."""


PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest version for which the dependencies have wheels."""

SMALL_MEMORY_MB = 900.0
"""A board of 1 GB reports a little more than this; one that reports less has 512 MB, enough for the small networks."""

HOT_CELSIUS = 80.0
"""Temperature at which a Raspberry Pi begins to slow down."""

CAPTURE_SECONDS = 3.0

QUIET_DBFS = -60.0
"""Below the noise floor of any microphone whose level is turned up."""

CLIPPED = 0.999
"""Full scale, but for rounding."""

TOLD_OFFSET = 0.001
"""An offset from here on is told: it costs headroom, and little else, since it is removed."""

HOPS_SECONDS = (1.0, 2.0)
"""Hops that the self-test reports on: the default one and windows without overlap."""


def check_bits(bits: int = 64 if sys.maxsize > 2**32 else 32, machine: str = platform.machine()) -> Finding:
    """Whether programs are 64-bit; a 64-bit kernel alone is not enough."""
    board = board_model()
    found = f"{bits} bits, {machine}" + (f", {board}" if board else "")
    if bits == 64:
        return Finding("system", OK, found)
    return Finding("system", PROBLEM, found, "install the 64-bit Raspberry Pi OS: LiteRT exists for no 32-bit system")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether the dependencies have wheels for this Python."""

    def dotted(numbers: tuple[int, ...]) -> str:
        return ".".join(map(str, numbers))

    oldest, newest = PYTHONS
    named = dotted(version)
    if oldest <= version[:2] <= newest:
        return Finding("Python", OK, named)
    fix = f"install Python {dotted(oldest)} to {dotted(newest)}: Raspberry Pi OS Bookworm has 3.11, Trixie 3.13"
    return Finding("Python", PROBLEM, named, fix)


def check_memory(total_mb: float | None = None) -> Finding:
    """Whether InceptionResNetV2 fits."""
    total_mb = total_mb or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    if total_mb >= SMALL_MEMORY_MB:
        return Finding("memory", OK, f"{total_mb:.0f} MB")
    return Finding("memory", WARNING, f"{total_mb:.0f} MB", "take a small network: tmgc-train distil")


def check_temperature(system: Path = Path("/sys")) -> Finding:
    """Whether heat or a weak power supply throttles the processor."""
    now = thermal_state(system)
    heat, reasons = now["temperature_c"], now["throttled"] or []
    found = "unknown here" if heat is None else f"{heat:.0f} degrees Celsius"
    found += ", throttling: " + ", ".join(reasons) if reasons else ""
    if any("under-voltage" in reason for reason in reasons):
        return Finding("temperature", WARNING, found, "use the power supply that belongs to the board")
    if reasons or (heat is not None and heat >= HOT_CELSIUS):
        return Finding("temperature", WARNING, found, "cool the processor: a heat sink or a fan")
    return Finding("temperature", OK, found)


def check_microphone(device: str | None) -> Iterator[Finding]:
    """The list of microphones, and the level of :data:`CAPTURE_SECONDS` of the selected one."""
    try:
        devices = list_devices()
        yield check_devices(devices)
        if devices:
            found = find_device(device)
            yield check_level(record(found), sample_rate=found.sample_rate)
    except TmgcError as error:
        yield Finding("microphone", PROBLEM, str(error))


def check_devices(devices: list[Device]) -> Finding:
    """Whether there is a microphone at all."""
    named = [f"{device.number}: {device.name}, {device.sample_rate} Hz" for device in devices]
    if named:
        return Finding("microphones", OK, "; ".join(named))
    user = os.environ.get("USER", "$USER")
    fix = f"plug one in; if arecord -l lists one, add your user to its group: sudo usermod -aG audio {user}"
    return Finding("microphones", PROBLEM, "none", fix)


def record(device: Device, seconds: float = CAPTURE_SECONDS) -> NDArray[np.float32]:
    """Record from a microphone.

    Parameters
    ----------
    device : Device
    seconds : float > 0

    Returns
    -------
    samples : np.ndarray [shape=(n, channels)], float32 in [-1, 1]
        Shorter than asked for where the device stops.

    Raises
    ------
    TmgcError
        The device does not open.
    """
    capture = Capture(device)
    blocks, wanted = [], round(seconds * device.sample_rate)
    try:
        while wanted > 0 and (captured := capture.take(timeout_seconds=seconds)):
            blocks.append(captured.samples)
            wanted -= len(captured.samples)
    finally:
        capture.close()
    return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


def check_level(samples: NDArray[np.float32], *, sample_rate: int) -> Finding:
    """Whether a recording is neither silent nor clipped, and no channel inverted; an offset is removed before.

    Parameters
    ----------
    samples : np.ndarray [shape=(n, channels)], float32 in [-1, 1]
    sample_rate : int > 0, Hz
    """
    if not len(samples):
        return Finding(
            "capture", PROBLEM, "the microphone opens and delivers no samples", "unplug it and plug it in again"
        )
    stream = MonoResampler(sample_rate, sample_rate)
    level = level_dbfs(np.concatenate([stream.process(samples), stream.flush()]))
    offset = float(np.abs(samples.mean(axis=0)).max())
    found = f"{level:.1f} dBFS" + (f", offset {offset:.3f} (removed)" if offset >= TOLD_OFFSET else "")
    if level < QUIET_DBFS:
        return Finding("capture", WARNING, f"{found}: silence", "turn it up: alsamixer, F4 for capture")
    if np.abs(samples).max() >= CLIPPED:
        return Finding("capture", WARNING, f"{found}, clipped", "turn it down: alsamixer, F4 for capture")
    if stream.cancelled:
        found += ", channels that cancel each other (the louder one is used)"
        return Finding("capture", WARNING, found, "one channel is inverted: swap its wires, or record one channel only")
    return Finding("capture", OK, found)


def check_interpreter() -> Finding:
    """Which interpreter runs ``.tflite`` files."""
    try:
        _, runtime = import_runtime()
    except TmgcError as error:
        return Finding("interpreter", PROBLEM, str(error))
    if runtime.startswith("ai-edge-litert"):
        return Finding("interpreter", OK, runtime)
    fix = f"{pip_install('ai-edge-litert')}, which is several times as fast"
    return Finding("interpreter", WARNING, runtime, fix)


def check_model(model: Path | None, *, threads: int | None = None, engine: str = AUTO) -> Iterator[Finding]:
    """The model with its card, XNNPACK, golden windows, and three windows; one that is refused is the only finding."""
    try:
        model = model or default_model()
        verified = open_verified(model, threads=threads, engine=engine, again=True)
    except TmgcError as error:
        yield Finding("model", PROBLEM, str(error))
        return
    yield _card_finding(verified.interpreter.path, verified.interpreter)
    yield check_acceleration(verified.interpreter)
    yield check_golden_windows(verified)
    yield check_engines(verified)
    yield self_test(verified.interpreter)


def _card_finding(model: Path, interpreter: Interpreter) -> Finding:
    card = interpreter.card
    settings = card.spectrogram
    found = (
        f"{model}: {card.name}, {card.export.get('recipe')}, {settings.image_height}x{settings.image_width} pixels of "
        f"{len(card.colormap[0])} channel(s), {settings.sample_rate} Hz, {', '.join(card.genres)}"
    )
    if card.failed_parity:
        fix = "export it again: tmgc-export, or take another recipe"
        return Finding("model", WARNING, f"{found}; {card.warning}", fix)
    if card.warning:
        return Finding("model", WARNING, f"{found}; {card.warning}", "train one on music of your own: tmgc-train all")
    return Finding("model", OK, found)


def check_acceleration(interpreter: Interpreter) -> Finding:
    """Whether XNNPACK runs the network."""
    if not isinstance(interpreter, LiteRTInterpreter):
        return Finding("XNNPACK", OK, f"not needed by {interpreter.runtime}")
    if interpreter.accelerated:
        return Finding("XNNPACK", OK, f"runs the network on {interpreter.threads} thread(s)")
    return Finding("XNNPACK", WARNING, "does not run", pip_install("--upgrade", "ai-edge-litert"))


def check_golden_windows(verified: Verified) -> Finding:
    """Whether this machine computes what the exporter did."""
    results, runtime = verified.results, verified.interpreter.runtime
    if not results:
        return Finding("golden-windows", WARNING, "the file has none to verify it with", "export it again: tmgc-export")
    largest = max(result.difference for result in results)
    found = f"{len(results)} of {len(results)} as exported, by {runtime}: largest difference {largest:.1g}"
    return Finding("golden-windows", OK, f"{found} (tolerance {results[0].tolerance:g})")


def check_engines(verified: Verified) -> Finding:
    """Which ways there are to run the model, and how fast each is now and was before; the first is what a start takes.

    One that is left out is a reason to warn where it is the one that is preferred: the model's first engine.
    """
    choice, threads = verified.choice, verified.interpreter.threads
    ways = [
        f"{each.file.name} by {trial.runtime} {trial.window_ms:.3g} ms, {trial.memory_mb:.0f} MB"
        + _before(choice.earlier.get(each))
        for each, trial in choice.trials.items()
    ]
    left_out = [f"{each.name} is left out: {reason}" for each, reason in choice.failed.items()]
    kept = f"remembered in {choice.memory}" if choice.memory else "not remembered"
    found = "; ".join([*ways, f"on {threads} thread(s), {kept}", *left_out])
    return Finding("engines", WARNING if choice.first in choice.failed else OK, found)


def _before(past: PastTrial | None) -> str:
    """What was remembered of a way, and since when."""
    if past is None:
        return ""
    found = "failed" if past.trial.failure else f"{past.trial.window_ms:.3g} ms"
    return f" ({datetime.fromtimestamp(past.time).astimezone():%Y-%m-%d %H:%M}: {found})"


def self_test(interpreter: Interpreter) -> Finding:
    """The latency of three windows of noise, and the hops that the machine keeps up with."""
    classifier = GenreClassifier(interpreter)
    noise = np.random.default_rng(0).normal(0, 0.1, (3, classifier.card.spectrogram.window_samples))
    try:
        results = [classifier.classify(window.astype(np.float32)) for window in noise]
    except InvalidAnswerError as error:
        return Finding("self-test", PROBLEM, str(error), "copy the model again, or another one")
    if not all(math.isclose(float(result.probabilities.sum()), 1, abs_tol=1e-2) for result in results):
        return Finding("self-test", PROBLEM, "probabilities do not add up to 1", "copy the model again, or another one")
    return check_latency([result.latency_ms for result in results])


def check_latency(latencies_ms: list[float]) -> Finding:
    """Which hops the machine keeps up with.

    Parameters
    ----------
    latencies_ms : list of float
        Latency of each window, ms; at least two. The first includes the warm-up: it is shown, and does not count.
    """
    slowest = max(latencies_ms[1:]) / 1e3
    keeps_up = {hop: slowest < hop for hop in HOPS_SECONDS}
    found = f"{', '.join(f'{latency:.0f}' for latency in latencies_ms)} ms a window; " + ", ".join(
        f"hop {hop} s: keeps up {hop / slowest:.1f} times over" if kept else f"hop {hop} s: does not keep up"
        for hop, kept in keeps_up.items()
    )
    if all(keeps_up.values()):
        return Finding("self-test", OK, found)
    if any(keeps_up.values()):
        return Finding("self-test", WARNING, found, "listen with --hop 2, or take the int8 export or a small network")
    return Finding("self-test", PROBLEM, found, "take the int8 export, or a small network: tmgc-train distil")


def examine(
    model: Path | None, device: str | None = None, *, threads: int | None = None, engine: str = AUTO
) -> Iterator[Finding]:
    """Run all checks, one after another.

    Parameters
    ----------
    model : Path or None
        The model file; None for the newest under ``./runs``.
    device : str or None
        The microphone, as for ``--device``; None for the default.
    threads : int > 0, optional
    engine : str
        Both as for :func:`edge_runtime.engine_choice.open_verified`.

    Yields
    ------
    finding : Finding

    Raises
    ------
    TmgcError
        There is no such engine, or the number of threads is out of range.
    """
    check_engine(engine)
    if threads is not None:
        check_threads(threads)
    yield check_bits()
    yield check_python()
    yield check_memory()
    yield check_temperature()
    yield check_interpreter()
    yield from check_model(model, threads=threads, engine=engine)
    yield from check_microphone(device)
