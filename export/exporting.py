"""From a model to files for the edge: convert, compare with Keras, write the card, and put each file in its place."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of, written_whole
from export.calibration import CALIBRATION_SEED, calibration_clips
from export.embed import write_with_card
from export.evidence import Evidence, asked, calibration_windows
from export.graph_facts import graph_facts
from export.keras_model import KerasModel
from export.options import GraphOptions
from export.parity import ParityReport
from export.progress import Steps
from export.recipes import FLOAT32, Format, Preference, Target, preference_of, preferred_targets, targets_of
from export.report import add_to_parity_json, remove_with_checksum, write_checksum
from export.source import Source
from export.workshop import Workshop
from train.libraries import versions

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
    takes = settings.graph.takes
    targets = targets_of(settings.formats, settings.words, takes=takes)
    output = settings.output or source.exports
    preference = preference_of(str(source.card.network.get("architecture", "")))
    candidates = {form.name: preferred_targets(form, preference, takes=takes) for form in settings.formats}
    if settings.graph.keep_float and targets and all(target.recipe == FLOAT32 for target in targets):
        raise TmgcError("--keep-float is for recipes that quantise, and none keeps everything float: leave it out")
    _refuse_existing(targets or [those[0] for those in candidates.values()], output, source, settings)
    with source.corpus.run.held(), TemporaryDirectory(prefix="tmgc-export-") as folder:
        exporter = Exporter(source, settings, steps, Path(folder))
        if targets:
            return [exporter.prove(target, None, output=output) for target in targets]
        return [exporter.prove(*exporter.choose(those, preference), output=output) for those in candidates.values()]


class Exporter:
    """One call of the command: the network is loaded, traced and asked once, and its float files are shared."""

    def __init__(self, source: Source, settings: ExportSettings, steps: Steps, folder: Path) -> None:
        self._source, self._settings, self._steps, self._folder = source, settings, steps, folder
        self._calibration = calibration_clips(source.corpus, settings.calibration_clips)
        self._evidence: dict[str, Evidence] = {}
        takes, corpus = settings.graph.takes, source.corpus
        with steps.step(f"Loading {source.model}"):
            model = KerasModel(source.model, source.network())
            model.check_fits(source.card)
            self._keras_sha256 = sha256_of(source.model)
        for split in (PROOF_SPLIT,) if settings.words else (PROOF_SPLIT, CHOICE_SPLIT):
            with steps.step(f"Asking Keras about windows of the {split} split"):
                self._evidence[split] = asked(model, corpus, split, takes=takes)
        with steps.step("Saving the network for its converters"):
            model.save(folder / "saved_model", source.card.but(takes=takes))
        # The network itself is let go here: its converters need the memory.
        windows = calibration_windows(corpus, self._calibration, takes=takes)
        self._workshop = Workshop(folder, folder / "saved_model", windows, steps, settings.graph)

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
            with written_whole(path) as partial:
                write_with_card(self._workshop.graph(target), self._card_of(target, parity.summary()), partial)
            remove_with_checksum(other)
            sha256 = write_checksum(path)
            report = {"file": str(path), "reason": reason, "sha256": sha256, **self._facts(target, path)}
        report["parity"] = parity.to_json()
        add_to_parity_json(self._source.parity_json, report, replaces=(str(good), str(failed)))
        return report

    def _facts(self, target: Target, path: Path) -> dict[str, Any]:
        """What the report says of a file beside its parity."""
        keras_bytes, facts = self._source.model.stat().st_size, graph_facts(path)
        return {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "input": target.takes,
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
                provisional, self._source.card, recipe=target.recipe.name, takes=target.takes, threads=_cores()
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
        return card.but(takes=target.takes, export=export, versions=found)


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
