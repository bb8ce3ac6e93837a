"""Export: convert a network, compare each file with Keras, and write it with its card, checksum and report."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from glob import escape
from pathlib import Path
from time import perf_counter
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write, check_writable, sha256_of
from edge_runtime.golden_windows import NAMES, golden_document, predict_golden
from edge_runtime.interpreters import ModelInput, installed_engines, open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.system_info import peak_memory_mb, usable_cores
from export import onnx, tflite
from export.calibration import CALIBRATION_SEED, calibration_clips, calibration_inputs
from export.frontend import KerasModel
from export.metadata import graph_facts, write_with_card
from export.parity import ParityReport
from export.parity_reference import ParityReference, collect_reference, keras_golden
from export.recipes import (
    CALIBRATION_CLIPS,
    FLOAT32,
    Format,
    GraphOptions,
    Preference,
    Target,
    find_preference,
    preferred_targets,
    select_targets,
)
from export.report import add_to_parity_json, read_parity_json, remove_with_checksum, write_checksum
from export.sources import Source
from train.libraries import silence, versions

log = logging.getLogger("tmgc.export")

CHOICE_SPLIT = "validation"
"""The split on which one of several recipes that quantise is chosen. A refitted network knows it, and is surer of it
than of other songs: what is chosen may then fail on the test split, which the report says."""

PARITY_SPLIT = "test"
"""The split of the reports. Nothing is chosen on it, except for float32 where the only other recipe fails there:
float32 is as exact on any split."""

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


class Steps:
    """Logs each step when it begins, silences the libraries during it, and measures it.

    Attributes
    ----------
    seconds : dict of str to float
        Duration of each step, by its description.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, description: str) -> Iterator[None]:
        """Log and measure what is done in a ``with`` block."""
        log.info("%s ...", description)
        begun = perf_counter()
        with silence():
            yield
        self.seconds[description] = perf_counter() - begun


_TO_TFLITE = "Converting the network to TFLite"
_TO_ONNX = "Converting the TFLite network to ONNX"


class ConversionCache:
    """A temporary folder of converted and quantised files, each made once.

    Parameters
    ----------
    folder : Path
        Empty.
    saved_model : Path
        The network as a TensorFlow SavedModel.
    calibration : np.ndarray [shape=(n, ...)]
        Images or waveforms for the static recipes.
    options : GraphOptions
    steps : Steps, optional
    """

    def __init__(
        self,
        folder: Path,
        saved_model: Path,
        calibration: ModelInput,
        options: GraphOptions = GraphOptions(),
        steps: Steps | None = None,
    ) -> None:
        self.folder, self._options = folder, options
        self._saved_model = saved_model
        self._calibration = calibration
        self._steps = steps or Steps()

    @cached_property
    def float_tflite(self) -> Path:
        """The float32 TFLite file, from which all others are made."""
        path = self.folder / "float32.tflite"
        with self._steps.step(_TO_TFLITE):
            tflite.convert(self._saved_model, path)
        return path

    @cached_property
    def macs(self) -> int | None:
        """Multiply-accumulate operations for one window, which ONNX files do not tell."""
        return graph_facts(self.float_tflite).macs

    @cached_property
    def _float_onnx(self) -> Path:
        source, path = self.float_tflite, self.folder / "float32.onnx"
        with self._steps.step(_TO_ONNX):
            onnx.convert(source, path, self._options)
        return path

    def graph(self, target: Target) -> Path:
        """The file of a target, still without a card."""
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
        """Duration of all steps of a target's file, those that it shares with other files included."""
        needed = [_TO_TFLITE, self._quantising(target)] + ([_TO_ONNX] if target.format.name == "onnx" else [])
        return sum(self._steps.seconds.get(step, 0.0) for step in needed)

    def _quantising(self, target: Target) -> str:
        clips = f" with {len(self._calibration)} calibration clips" if target.recipe.calibrated else ""
        return f"Quantising {target}{clips}"


@dataclass(frozen=True)
class ExportSettings:
    """What to export, and how."""

    formats: tuple[Format, ...]
    quantize: tuple[str, ...] = ()
    """Values of ``--quantize``; where there is none, the first recipe within tolerance on the validation split."""
    output: Path | None = None
    """Folder of the files; the source's own by default."""
    calibration_clips: int = CALIBRATION_CLIPS
    force: bool = False
    """Overwrite files of earlier exports."""
    graph: GraphOptions = GraphOptions()
    threads: int | None = None
    """Of the comparisons with Keras; one for each usable core by default."""


def export_model(source: Source, settings: ExportSettings) -> list[dict[str, Any]]:
    """Export a model. Progress is logged to ``tmgc.export``.

    Parameters
    ----------
    source : Source
        See :func:`export.sources.open_run` and :func:`export.sources.open_bare_model`.
    settings : ExportSettings

    Returns
    -------
    reports : list of dict
        One for each file.

    Raises
    ------
    TmgcError
        The model does not fit its card, a format does not support a recipe or an option, a file exists and ``force`` is
        not set, or ``parity.json`` is damaged.
    """
    settings = _for_network(settings, source)
    input_kind = settings.graph.input_kind
    targets = select_targets(settings.formats, settings.quantize, input_kind=input_kind)
    output = settings.output or source.exports
    preference = find_preference(str(source.card.network.get("architecture", "")))
    candidates = [preferred_targets(form, preference, input_kind=input_kind) for form in settings.formats]
    if settings.graph.keep_float and targets and all(target.recipe == FLOAT32 for target in targets):
        raise TmgcError("--keep-float is for recipes that quantise, and none of these does: leave it out")
    if not settings.force:
        for target in targets or [preferred[0] for preferred in candidates]:
            _check_absent(target.file(output, source.name))
    parity_json = source.parity_json or output / "parity.json"
    read_parity_json(parity_json)  # a damaged one is refused before the work
    check_writable(output, parity_json.parent)
    _remove_incomplete(source)
    with source.dataset.run.work_folder() as folder:
        splits = {PARITY_SPLIT, *(_split_of_choice(each) for each in candidates if not targets)}
        exporter = Exporter(source, settings, folder, splits)
        if targets:
            return [exporter.export(target, None, output=output) for target in targets]
        return [exporter.export(*exporter.choose(each, preference), output=output) for each in candidates]


def _for_network(settings: ExportSettings, source: Source) -> ExportSettings:
    """A network with a spectrogram of its own takes waveforms in every file."""
    if source.card.input_kind == "image":
        return settings
    return replace(settings, graph=replace(settings.graph, input_kind=source.card.input_kind, batch="1"))


def _split_of_choice(candidates: Sequence[Target]) -> str:
    quantised = [target for target in candidates if target.recipe != FLOAT32]
    return CHOICE_SPLIT if len(quantised) > 1 else PARITY_SPLIT


class Exporter:
    """The exports of one call: the network is loaded and run once, and its conversions are shared."""

    def __init__(self, source: Source, settings: ExportSettings, folder: Path, splits: Collection[str]) -> None:
        self._source, self._settings, self._folder = source, settings, folder
        self._steps = Steps()
        self._calibration = calibration_clips(source.dataset, settings.calibration_clips)
        input_kind, dataset = settings.graph.input_kind, source.dataset
        with self._steps.step(f"Loading {source.model}"):
            model = KerasModel(source.model, source.network())
            model.check_card(source.card)
            self._keras_sha256 = sha256_of(source.model)
        self._references: dict[str, ParityReference] = {}
        self._compared: dict[tuple[Target, str], ParityReport] = {}
        for split in sorted(splits):
            with self._steps.step(f"Predicting windows of the {split} split with Keras"):
                self._references[split] = collect_reference(
                    model, dataset, split, input_kind=input_kind, labelled=source.labelled
                )
        with self._steps.step("Predicting golden windows with Keras"):
            self._golden = keras_golden(model, dataset.spectrogram, dataset.colormap)
        with self._steps.step("Saving the network for its converters"):
            model.save(folder / "saved_model", source.card.replace(input_kind=input_kind))
        # The network itself is freed at the end of this function: its converters need the memory.
        inputs = calibration_inputs(dataset, self._calibration, input_kind=input_kind)
        self._cache = ConversionCache(folder, folder / "saved_model", inputs, settings.graph, self._steps)

    def choose(self, candidates: Sequence[Target], preference: Preference) -> tuple[Target, str]:
        """The first recipe that is within tolerance, and the reason in words."""
        rejected, split = [], _split_of_choice(candidates)
        for target in candidates:
            report = self._compare(target, split)
            if report.passed:
                break
            rejected.append(f"{target.recipe.option} failed ({'; '.join(report.failures)})")
        order = ", ".join(item.recipe.option for item in candidates)
        within = f"within tolerance on {report.windows} windows of the {split} split"
        reason = f"{target.format.name}: taking {target.recipe.option}, "
        reason += f"the first of {order} {within}" if report.passed else f"although none of {order} is {within}"
        reason += f": {', '.join(rejected)}" if rejected else ""
        reason += f" ({self._source.card.network['architecture']}: {preference.reason})" if preference.reason else ""
        log.info("%s", reason)
        return target, reason

    def export(self, target: Target, reason: str | None, *, output: Path) -> dict[str, Any]:
        """Compare a file with Keras on the test split, write it with the result in its card, and report."""
        name = self._source.name
        file, failed = target.file(output, name), target.failed_file(output, name)
        if not self._settings.force:
            _check_absent(file)
        parity = self._compare(target, PARITY_SPLIT)
        parity = replace(parity, other_engines=self._other_engines(target))
        path, other = (file, failed) if parity.passed else (failed, file)
        with self._steps.step(f"Writing {path}"):
            with atomic_write(path) as partial:
                write_with_card(self._cache.graph(target), self._final_card(target, parity), partial)
            remove_with_checksum(other)
            sha256 = write_checksum(path)
            report = {"file": str(path), "reason": reason, "sha256": sha256, **self._facts(target, path)}
        report["parity"] = parity.to_json()
        add_to_parity_json(self._source.parity_json or output / "parity.json", report, replaces=(file, failed))
        return report

    def _facts(self, target: Target, path: Path) -> dict[str, Any]:
        """The fields of a report other than its parity."""
        keras_bytes, facts = self._source.model.stat().st_size, graph_facts(path)
        return {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "input_kind": target.input_kind,
            "compared_on": self._source.compared_on,
            "size_bytes": path.stat().st_size,
            "keras_sha256": self._keras_sha256,
            "keras_size_bytes": keras_bytes,
            "size_ratio": path.stat().st_size / keras_bytes,
            "export_seconds": round(self._cache.seconds(target), 2),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "operators": dict(facts.operators),
            "weights": dict(facts.weights),
            "macs": self._cache.macs,
        }

    def _compare(self, target: Target, split: str) -> ParityReport:
        """Parity of the graph that is written later, with a card that has no parity yet."""
        if (target, split) not in self._compared:
            self._compared[target, split] = self._compute_parity(target, split)
        return self._compared[target, split]

    def _compute_parity(self, target: Target, split: str, engine: str | None = None) -> ParityReport:
        self._cache.graph(target)
        reference = self._references[split]
        run_by = f", run by {engine}," if engine else ""
        windows = f"{len(reference.keras)} windows of the {split} split"
        with self._steps.step(f"Comparing {target}{run_by} with Keras on {windows}"):
            return reference.report(
                self._provisional(target),
                self._source.card,
                recipe=target.recipe.name,
                input_kind=target.input_kind,
                threads=self._settings.threads or usable_cores(),
                engine=engine,
            )

    def _other_engines(self, target: Target) -> dict[str, dict[str, Any]]:
        """Parity of the file with each engine that is installed beside the preferred one."""
        found = {}
        for engine in installed_engines(target.file(self._folder, self._source.name))[1:]:
            try:
                found[engine] = self._compute_parity(target, PARITY_SPLIT, engine).summary()
                golden = predict_golden(open_interpreter(self._provisional(target), engine=engine), NAMES)
                # refuses what is no probability
                golden_document(target.format.name, target.recipe.name, golden, self._golden)
            except TmgcError as error:
                reason = str(error).replace(f"{self._folder}/", "")
                found[engine] = {"passed": False, "failures": [f"{engine} does not run the file: {reason}"]}
        return found

    def _final_card(self, target: Target, parity: ParityReport) -> ModelCard:
        """The card with its parity, and what the file computes from the golden windows."""
        card = self._card(target, parity.summary())
        path = self._provisional(target)
        found = predict_golden(open_interpreter(path), NAMES)
        others = {
            engine: predict_golden(open_interpreter(path, engine=engine), NAMES)
            for engine, other in parity.other_engines.items()
            if other["passed"]
        }
        golden = golden_document(target.format.name, target.recipe.name, found, self._golden, others)
        return card.replace(export={**card.export, "golden": golden})

    def _provisional(self, target: Target) -> Path:
        """The file of a target with a card that has no parity yet."""
        path = self._folder / f"provisional{target.format.suffix}"
        write_with_card(self._cache.graph(target), self._card(target, {}), path)
        return path

    def _card(self, target: Target, parity: dict[str, Any]) -> ModelCard:
        clips = [clip.name for clip in self._calibration] if target.recipe.calibrated else []
        graph, card = self._settings.graph, self._source.card
        export: dict[str, Any] = {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "keep_float": list(graph.keep_float) if target.recipe != FLOAT32 else [],
            "calibration": clips,
            "calibration_seed": CALIBRATION_SEED,
            "keras_sha256": self._keras_sha256,
            "compared_on": self._source.compared_on,
            "parity": parity,
        }
        if target.format.name == "onnx":
            export |= {"opset": graph.opset, "batch": graph.batch}
        installed = {**card.versions, **versions(_DISTRIBUTIONS)}
        return card.replace(input_kind=target.input_kind, export=export, versions=installed)


def _check_absent(path: Path) -> None:
    if path.exists():
        raise TmgcError(f"an existing file is overwritten with --force only: {path} exists")


def _remove_incomplete(source: Source) -> None:
    """Remove what an interrupted export left; the lock of the source is held, so that no other export writes there."""
    for path in source.exports.glob(f"{PARTIAL}{escape(source.name)}.*"):
        path.unlink()
