"""From a model to files for the edge: convert, compare with Keras, write the card, and put each file in its place."""

from __future__ import annotations

import os
import resource
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.interpreters import ModelInput
from edge_runtime.model_card import ModelCard
from export import onnx, tflite
from export.frontend import KerasModel
from export.inspection import graph_facts
from export.metadata import write_with_card
from export.parity import ParityReport
from export.parity_reference import (
    CALIBRATION_SEED,
    ParityReference,
    calibration_clips,
    calibration_windows,
    collect_reference,
)
from export.recipes import (
    FLOAT32,
    Format,
    GraphOptions,
    Preference,
    Target,
    preference_of,
    preferred_targets,
    targets_of,
)
from export.report import add_to_parity_json, remove_with_checksum, write_checksum
from export.sources import Source
from train.libraries import own_stderr, silence, versions

if TYPE_CHECKING:
    from rich.console import Console


class Steps:
    """Says what is being done before it is done, and how long it took.

    Attributes
    ----------
    seconds : dict of str to float
        How long each step took, by what was said.
    console : rich.console.Console
        Standard error, for tables.
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._file = own_stderr()
        if self._file is not sys.stderr:
            weakref.finalize(self, self._file.close)
        self.console: Console = Console(file=self._file, highlight=False, soft_wrap=True)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what is being done while it is done, and let no library talk over it."""
        begun = perf_counter()
        if self.console.is_terminal:
            with self.console.status(what), silence():
                yield
            self.say(f"{what}: {perf_counter() - begun:.1f} s")
        else:
            self.say(f"{what} ...")
            with silence():
                yield
        self.seconds[what] = perf_counter() - begun

    def say(self, line: str) -> None:
        """Tell a person something."""
        self.console.print(line, markup=False)
        self._file.flush()


_TO_TFLITE = "Converting the network to TFLite"
_TO_ONNX = "Converting the TFLite network to ONNX"


class ConversionCache:
    """A temporary folder in which files are made before they are known to be good.

    Parameters
    ----------
    folder : Path
        Empty.
    saved_model : Path
        The network as TensorFlow saves it.
    calibration : np.ndarray [shape=(n, ...)]
        Pictures or waveforms that the static recipes take their ranges from.
    steps : Steps
    options : GraphOptions
    """

    def __init__(
        self,
        folder: Path,
        saved_model: Path,
        calibration: ModelInput,
        steps: Steps,
        options: GraphOptions = GraphOptions(),
    ) -> None:
        self.folder, self._options = folder, options
        self._saved_model = saved_model
        self._calibration = calibration
        self._steps = steps

    @cached_property
    def float_tflite(self) -> Path:
        """The float32 TFLite file, which all others are made from."""
        path = self.folder / "float32.tflite"
        with self._steps.step(_TO_TFLITE):
            tflite.convert(self._saved_model, path)
        return path

    @cached_property
    def _float_onnx(self) -> Path:
        source, path = self.float_tflite, self.folder / "float32.onnx"
        with self._steps.step(_TO_ONNX):
            onnx.convert(source, path, self._options)
        return path

    def graph(self, target: Target) -> Path:
        """The file of a target as the converter or the quantiser leaves it."""
        converter = tflite if target.format.name == "tflite" else onnx
        float_file = self.float_tflite if target.format.name == "tflite" else self._float_onnx
        if target.recipe == FLOAT32:
            return float_file
        path = self.folder / f"{target.recipe.name}{target.format.suffix}"
        if not path.exists():
            with self._steps.step(self._quantising(target)):
                converter.quantize(float_file, target.recipe, self._calibration, path, self._options)
        return path

    def seconds(self, target: Target) -> float:
        """How long all the steps took that the file of a target needs, those that it shares with others included."""
        needed = [_TO_TFLITE, self._quantising(target)] + ([_TO_ONNX] if target.format.name == "onnx" else [])
        return sum(self._steps.seconds.get(step, 0.0) for step in needed)

    def _quantising(self, target: Target) -> str:
        clips = f" with {len(self._calibration)} calibration clips" if target.recipe.calibrated else ""
        return f"Quantising {target}{clips}"


CHOICE_SPLIT = "validation"
"""The split that a recipe is chosen on."""

PROOF_SPLIT = "test"
"""The split that proves a file. Nothing is ever chosen on it."""

_DISTRIBUTIONS = (
    "tmgc",
    "tensorflow",
    "keras",
    "numpy",
    "litert-quantizer",
    "ai-edge-litert",
    "tf2onnx",
    "onnx",
    "onnxruntime",
)


@dataclass(frozen=True)
class ExportSettings:
    """What to export, and how."""

    formats: tuple[Format, ...]
    words: tuple[str, ...] = ()
    """Of ``--quantize``; where there is none, the best recipe within tolerance on the validation split is taken."""
    output: Path | None = None
    """Folder of the files. The source's own by default."""
    calibration_clips: int = 200
    force: bool = False
    """Write over files of earlier exports."""
    graph: GraphOptions = GraphOptions()


def export_model(source: Source, settings: ExportSettings, steps: Steps) -> list[dict[str, Any]]:
    """Export a model.

    Parameters
    ----------
    source : Source
    settings : ExportSettings
    steps : Steps
        Where progress is told.

    Returns
    -------
    reports : list of dict
        One for each file, as they are added to ``parity.json``.

    Raises
    ------
    TmgcError
        The model does not fit its card, a format cannot honour a recipe or an option, a file exists and ``force`` is
        not given, or another command is at work on the run.
    """
    input_kind = settings.graph.input_kind
    targets = targets_of(settings.formats, settings.words, input_kind=input_kind)
    output = settings.output or source.exports
    preference = preference_of(str(source.card.network.get("architecture", "")))
    candidates = {form.name: preferred_targets(form, preference, input_kind=input_kind) for form in settings.formats}
    if settings.graph.keep_float and targets and all(target.recipe == FLOAT32 for target in targets):
        raise TmgcError("--keep-float is for recipes that quantise, and none keeps everything float: leave it out")
    _refuse_existing(targets or [those[0] for those in candidates.values()], output, source, settings)
    with source.dataset.run.lock(), TemporaryDirectory(prefix="tmgc-export-") as folder:
        exporter = Exporter(source, settings, steps, Path(folder))
        if targets:
            return [exporter.prove(target, None, output=output) for target in targets]
        return [exporter.prove(*exporter.choose(those, preference), output=output) for those in candidates.values()]


class Exporter:
    """One call of the command: the network is loaded, traced and asked once, and its float files are shared."""

    def __init__(self, source: Source, settings: ExportSettings, steps: Steps, folder: Path) -> None:
        self._source, self._settings, self._steps, self._folder = source, settings, steps, folder
        self._calibration = calibration_clips(source.dataset, settings.calibration_clips)
        self._evidence: dict[str, ParityReference] = {}
        input_kind, dataset = settings.graph.input_kind, source.dataset
        with steps.step(f"Loading {source.model}"):
            model = KerasModel(source.model, source.network())
            model.check_fits(source.card)
            self._keras_sha256 = sha256_of(source.model)
        for split in (PROOF_SPLIT,) if settings.words else (PROOF_SPLIT, CHOICE_SPLIT):
            with steps.step(f"Asking Keras about windows of the {split} split"):
                self._evidence[split] = collect_reference(model, dataset, split, input_kind=input_kind)
        with steps.step("Saving the network for its converters"):
            model.save(folder / "saved_model", source.card.replace(input_kind=input_kind))
        # The network itself is let go here: its converters need the memory.
        windows = calibration_windows(dataset, self._calibration, input_kind=input_kind)
        self._workshop = ConversionCache(folder, folder / "saved_model", windows, steps, settings.graph)

    def choose(self, candidates: Sequence[Target], preference: Preference) -> tuple[Target, str]:
        """The first recipe that is within tolerance on the validation split, and why it is the one."""
        passed_over = []
        for target in candidates:
            report = self._measure(target, CHOICE_SPLIT)
            if report.held:
                break
            passed_over.append(f"{target.recipe.word} missed ({'; '.join(report.misses)})")
        order = ", ".join(item.recipe.word for item in candidates)
        on = f"within tolerance on {report.windows} windows of the {CHOICE_SPLIT} split"
        reason = f"{target.format.name}: taking {target.recipe.word}, "
        reason += f"the first of {order} {on}" if report.held else f"although none of {order} is {on}"
        reason += f": {', '.join(passed_over)}" if passed_over else ""
        reason += f" ({self._source.card.network['architecture']}: {preference.reason})" if preference.reason else ""
        self._steps.say(reason)
        return target, reason

    def prove(self, target: Target, reason: str | None, *, output: Path) -> dict[str, Any]:
        """Compare a file with Keras on the test split, write it with what came out in its card, and report."""
        name = self._source.name
        good, failed = target.file(output, name), target.failed_file(output, name)
        if good.exists() and not self._settings.force:
            raise TmgcError(_exists(good))
        parity = self._measure(target, PROOF_SPLIT)
        path, other = (good, failed) if parity.held else (failed, good)
        with self._steps.step(f"Writing {path}"):
            with atomic_write(path) as partial:
                write_with_card(self._workshop.graph(target), self._card_of(target, parity.summary()), partial)
            remove_with_checksum(other)
            sha256 = write_checksum(path)
            report = {"file": str(path), "reason": reason, "sha256": sha256, **self._facts(target, path)}
        report["parity"] = parity.to_json()
        parity_json = self._source.parity_json or output / "parity.json"
        add_to_parity_json(parity_json, report, replaces=(str(good), str(failed)))
        return report

    def _facts(self, target: Target, path: Path) -> dict[str, Any]:
        """What the report says of a file beside its parity."""
        keras_bytes, facts = self._source.model.stat().st_size, graph_facts(path)
        return {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "input": target.input_kind,
            "size_bytes": path.stat().st_size,
            "keras_sha256": self._keras_sha256,
            "keras_size_bytes": keras_bytes,
            "size_ratio": path.stat().st_size / keras_bytes,
            "export_seconds": round(self._workshop.seconds(target), 2),
            "peak_memory_mb": round(_peak_memory_mb(), 1),
            "operators": dict(facts.operators),
            "weights": dict(facts.weights),
            "macs": graph_facts(self._workshop.float_tflite).macs,
        }

    def _measure(self, target: Target, split: str) -> ParityReport:
        """Parity of the very graph that is written later: only its card is still a provisional one."""
        graph, evidence = self._workshop.graph(target), self._evidence[split]
        with self._steps.step(f"Comparing {target} with Keras on {len(evidence.keras)} windows of the {split} split"):
            provisional = self._folder / f"provisional{target.format.suffix}"
            write_with_card(graph, self._card_of(target, {}), provisional)
            return evidence.report(
                provisional,
                self._source.card,
                recipe=target.recipe.name,
                input_kind=target.input_kind,
                threads=_cores(),
            )

    def _card_of(self, target: Target, parity: dict[str, Any]) -> ModelCard:
        clips = [clip.name for clip in self._calibration] if target.recipe.calibrated else []
        graph, card = self._settings.graph, self._source.card
        export: dict[str, Any] = {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "keep_float": list(graph.keep_float) if target.recipe != FLOAT32 else [],
            "calibration": clips,
            "calibration_seed": CALIBRATION_SEED,
            "keras_sha256": self._keras_sha256,
            "parity": parity,
        }
        if target.format.name == "onnx":
            export |= {"opset": graph.opset, "batch": graph.batch}
        found = {**card.versions, **versions(_DISTRIBUTIONS)}
        return card.replace(input_kind=target.input_kind, export=export, versions=found)


def _refuse_existing(targets: Sequence[Target], output: Path, source: Source, settings: ExportSettings) -> None:
    existing = [path for target in targets if (path := target.file(output, source.name)).exists()]
    if existing and not settings.force:
        raise TmgcError(_exists(existing[0]))


def _exists(path: Path) -> str:
    return f"an existing file is only written over with --force: {path} exists"


def _cores() -> int:
    return os.cpu_count() or 1


def _peak_memory_mb() -> float:
    """Most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, kibibytes elsewhere
