"""From a run to files for the edge: convert, compare with Keras, write the card, and put each file in its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of, written_whole
from export.calibration import CALIBRATION_SEED, calibration_clips
from export.embed import write_with_card
from export.keras_model import KerasModel
from export.parity import ParityReport, Probabilities, answers_of, compare, hard_answers
from export.pictures import ParityPictures, hard_pictures, parity_pictures
from export.progress import Steps
from export.recipes import ONNX_OPSET, Format, Target, preferences_of, targets_of
from export.report import add_to_parity_json
from export.workshop import Workshop
from train.corpus import Corpus, read_corpus
from train.libraries import versions
from train.run import Run

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
    """Folder of the files. The run's ``exports`` by default."""
    calibration_clips: int = 200
    force: bool = False
    """Write over files of earlier exports."""


@dataclass(frozen=True)
class Evidence:
    """The pictures of one split, the hard ones, and what Keras says of both."""

    shown: ParityPictures
    keras: Probabilities
    hard_names: tuple[str, ...]
    hard: tuple[NDArray[np.uint8], ...]
    keras_hard: Probabilities


def export_run(run: Run, settings: ExportSettings, steps: Steps) -> list[dict[str, Any]]:
    """Export a trained run.

    Parameters
    ----------
    run : Run
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
        The run is not trained, a format cannot honour a recipe, or a file exists and ``force`` is not given.
    """
    targets = targets_of(settings.formats, list(settings.words))
    output = settings.output or run.exports
    _refuse_existing(targets or [preferences_of(item)[0] for item in settings.formats], output, run, settings)
    corpus, card = read_corpus(run), run.card()
    corpus.check_trained(card)
    with TemporaryDirectory(prefix="tmgc-export-") as folder:
        exporter = Exporter(run, corpus, card, settings, steps, Path(folder))
        if targets:
            return [exporter.prove(target, None, output=output) for target in targets]
        return [exporter.prove(*exporter.choose(format_), output=output) for format_ in settings.formats]


class Exporter:
    """One call of the command: the network is loaded, traced and asked once, and its float files are shared."""

    def __init__(
        self, run: Run, corpus: Corpus, card: ModelCard, settings: ExportSettings, steps: Steps, folder: Path
    ) -> None:
        self._run, self._card, self._settings, self._steps, self._folder = run, card, settings, steps, folder
        self._calibration = calibration_clips(corpus, settings.calibration_clips)
        self._evidence: dict[str, Evidence] = {}
        with steps.step(f"Loading {run.model}"):
            model = KerasModel(run.model)
            self._keras_sha256 = sha256_of(run.model)
        for split in (PROOF_SPLIT,) if settings.words else (PROOF_SPLIT, CHOICE_SPLIT):
            self._evidence[split] = self._asked(corpus, split, model)
        with steps.step("Saving the network for its converters"):
            model.save(folder / "saved_model")
        # The network itself is let go here: its converters need the memory.
        self._workshop = Workshop(folder, folder / "saved_model", corpus.pictures(self._calibration), steps)

    def choose(self, format_: Format) -> tuple[Target, str]:
        """The first recipe that is within tolerance on the validation split, and why it is the one."""
        passed_over = []
        for target in preferences_of(format_):
            report = self._measure(target, CHOICE_SPLIT)
            if report.held:
                break
            passed_over.append(f"{target.recipe.word} missed ({'; '.join(report.misses)})")
        order = ", ".join(item.recipe.word for item in preferences_of(format_))
        on = f"within tolerance on {report.windows} windows of the {CHOICE_SPLIT} split"
        reason = f"{format_.name}: taking {target.recipe.word}, "
        reason += f"the first of {order} {on}" if report.held else f"although none of {order} is {on}"
        reason += f": {', '.join(passed_over)}" if passed_over else ""
        self._steps.say(reason)
        return target, reason

    def prove(self, target: Target, reason: str | None, *, output: Path) -> dict[str, Any]:
        """Compare a file with Keras on the test split, write it with what came out in its card, and report."""
        good, failed = target.file(output, self._run.name), target.failed_file(output, self._run.name)
        if good.exists() and not self._settings.force:
            raise TmgcError(_exists(good))
        parity = self._measure(target, PROOF_SPLIT)
        path, other = (good, failed) if parity.held else (failed, good)
        with self._steps.step(f"Writing {path}"):
            with written_whole(path) as partial:
                write_with_card(self._workshop.graph(target), self._card_of(target, parity.summary()), partial)
            other.unlink(missing_ok=True)
        report = {
            "file": str(path),
            "replaces": [str(good), str(failed)],
            "format": target.format.name,
            "recipe": target.recipe.name,
            "reason": reason,
            "size_bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "keras_sha256": self._keras_sha256,
            "parity": parity.to_json(),
        }
        add_to_parity_json(self._run.parity_json, report)
        return {name: value for name, value in report.items() if name != "replaces"}

    def _asked(self, corpus: Corpus, split: str, model: KerasModel) -> Evidence:
        with self._steps.step(f"Asking Keras about windows of the {split} split"):
            shown, hard = parity_pictures(corpus, split), hard_pictures(corpus, split)
            keras_hard = model.probabilities(np.stack(list(hard.values())))
            return Evidence(shown, model.probabilities(shown.pictures), tuple(hard), tuple(hard.values()), keras_hard)

    def _measure(self, target: Target, split: str) -> ParityReport:
        """Parity of the very graph that is written later: only its card is still a provisional one."""
        graph, evidence = self._workshop.graph(target), self._evidence[split]
        with self._steps.step(f"Comparing {target} with Keras on {len(evidence.keras)} windows of the {split} split"):
            provisional = self._folder / f"provisional{target.format.suffix}"
            write_with_card(graph, self._card_of(target, {}), provisional)
            said = answers_of(provisional, self._card, evidence.shown.pictures, evidence.hard, threads=_cores())
            hard = hard_answers(evidence.hard_names, self._card.genres, evidence.keras_hard, said.hard)
            return compare(
                target.recipe.name,
                evidence.shown,
                evidence.keras,
                said.windows,
                card_differences=said.card_differences,
                hard_pictures=hard,
            )

    def _card_of(self, target: Target, parity: dict[str, Any]) -> ModelCard:
        clips = [clip.name for clip in self._calibration] if target.recipe.calibrated else []
        export: dict[str, Any] = {
            "format": target.format.name,
            "recipe": target.recipe.name,
            "calibration": clips,
            "calibration_seed": CALIBRATION_SEED,
            "keras_sha256": self._keras_sha256,
            "parity": parity,
        }
        if target.format.name == "onnx":
            export["opset"] = ONNX_OPSET
        return self._card.but(export=export, versions={**self._card.versions, **versions(_DISTRIBUTIONS)})


def _refuse_existing(targets: Sequence[Target], output: Path, run: Run, settings: ExportSettings) -> None:
    existing = [path for target in targets if (path := target.file(output, run.name)).exists()]
    if existing and not settings.force:
        raise TmgcError(_exists(existing[0]))


def _exists(path: Path) -> str:
    return f"an existing file is only written over with --force: {path} exists"


def _cores() -> int:
    return os.cpu_count() or 1
