"""``tmgc-train distil``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of
from edge_runtime.terminal import print_lines
from train.cli.cross_validate import write_result
from train.cli.fit import fit_options, fit_settings
from train.cli.options import SEED, Options, require_keras, student_image_options
from train.cli.trainings import Begun, resumed_by_the_same_command, train_and_evaluate

if TYPE_CHECKING:
    from train.dataset.dataset import Dataset
    from train.run import Run
    from train.training import TrainingConfig

_fit_options = Options(
    click.option(
        "--width",
        type=float,
        help="Factor for the channels of the layers. Default: that of the RUN of --weights, else 0.5 for mobilenet_v2 "
        "and 1 for others.",
    ),
    *fit_options.without("architecture").without("width"),
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
@click.option(
    "--student", "architecture", default="mobilenet_v2", show_default=True, help="Architecture, as of tmgc-train fit."
)
@student_image_options
@click.option(
    "--music",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder or file of music without labels, for which the student learns its teachers' outputs first.",
)
@click.option(
    "--pretraining-epochs", type=click.IntRange(min=1), default=20, show_default=True, help="With --music, at most."
)
@_fit_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of the clips.")
def distil(run: Path, student: Path, **options: Any) -> None:
    """Make of the trained RUN a smaller one, STUDENT, that has learned RUN's answers to the same songs.

    STUDENT is an ordinary run with the songs, the split and the clips of RUN. RUN is its first teacher, --teacher names
    others, and at the end it is compared with RUN on the test songs. If RUN is of a cross-validation, each of its folds
    teaches the same fold of STUDENT. Run the command again to resume it after an interruption.
    """
    named = click.get_current_context().get_parameter_source("pretraining_epochs")
    if named is click.core.ParameterSource.COMMANDLINE and not options["music"]:
        raise TmgcError("--pretraining-epochs are those on unlabelled music: use it together with --music")
    if options["recipe"] == "reference":
        raise TmgcError("--recipe reference trains without a teacher: leave it out to make a student")
    require_keras()
    if options["width"] is None:
        options["width"] = _default_width(options["architecture"], options["weights"])
    work = _Distillation(run, student, options)
    with resumed_by_the_same_command():
        work.prepare()
        for pair in work.pairs:
            work.train(pair)
        lines = work.result()
    print_lines(lines)
    say(f"next: tmgc-export {work.pairs[0].student.run.folder}")


def _default_width(architecture: str, weights: str | None) -> float:
    """Of a run's network, or else one for which there are weights of ImageNet."""
    from train.pretraining.pretrain import read_pretraining
    from train.run import Run
    from train.training.architectures import find_architecture

    run = Run(Path(weights or ""))
    if weights and run.pretraining_json.is_file():
        return float(read_pretraining(run)["settings"]["width"])
    if weights and run.card_json.is_file():
        return float(run.card().network.get("width", 1.0))
    return 0.5 if find_architecture(architecture).name == "mobilenet_v2" else 1.0


class _Pair(NamedTuple):
    """A trained run and its student."""

    teacher: Dataset
    student: Dataset
    config: TrainingConfig

    @property
    def test_songs(self) -> Dataset:
        return replace(self.teacher, clips=tuple(self.teacher.of("test")))


class _Distillation:
    """One distillation, of a run or of all folds of a cross-validation; nothing is written before :meth:`prepare`."""

    def __init__(self, run: Path, student: Path, options: dict[str, Any]) -> None:
        from train.evaluation.pooled_predictions import OtherPredictions
        from train.pretraining.music import find_music
        from train.run import Run

        if options["music"]:
            find_music(options["music"])
        self._run, self._student, self._options = Run(run), Run(student), options
        self._folds = _folds(run)
        teachers = [_trained(Run(folder)) for folder in self._folds or [run]]
        self._teachers_predictions = OtherPredictions(run) if self._folds else None
        config = self._config()
        self.pairs = [self._pair(teacher, config) for teacher in teachers]
        for pair in self.pairs:
            _check_teachers(pair)
        self._check_network()
        settings = {
            name: options[name] for name in ("architecture", "image_size", "colormap", "pretraining_epochs", "seed")
        }
        settings |= _fit_options.of(options) | {"music": [path.resolve() for path in options["music"]]}
        settings["teachers"] = {name: _sha256(name) for pair in self.pairs for name in pair.config.teachers}
        self._begun = Begun(student / "distillation.json", run=run.resolve(), **settings)
        if not self._begun.exists():
            self._student.check_vacant()

    def _config(self) -> TrainingConfig:
        fitted = {name: self._options[name] for name in ("architecture", "seed")} | _fit_options.of(self._options)
        first = (self._folds or [self._run.folder])[0]
        return fit_settings(**fitted | {"teachers": self._teachers(first)})

    def _teachers(self, folder: Path) -> tuple[str, ...]:
        """The run itself, and the others that are named, or their same fold."""
        others = (Path(name, folder.name) if self._folds else Path(name) for name in self._options["teachers"])
        named = zip(self._options["teachers"], others, strict=True)
        return (str(folder), *(str(other) if other.is_dir() else name for name, other in named))

    def _pair(self, teacher: Dataset, config: TrainingConfig) -> _Pair:
        from train.run import Run

        folder = teacher.run.folder
        run = Run(self._student.folder / folder.name) if self._folds else self._student
        return _Pair(teacher, self._resized(teacher, run), replace(config, teachers=self._teachers(folder)))

    def _resized(self, dataset: Dataset, run: Run) -> Dataset:
        from train.dataset.build import named_colormap
        from train.dataset.student import student_dataset

        size, colormap = self._options["image_size"], named_colormap(self._options["colormap"])
        return student_dataset(dataset, run, image_size=size, colormap=colormap)

    def _check_network(self) -> None:
        """Images that are too small, and weights that do not fit, are found before anything is written."""
        from train.training.model import build_network

        _, student, config = self.pairs[0]
        build_network(
            config.architecture,
            student.spectrogram,
            n_genres=len(student.genres),
            width=config.width,
            channels=student.colormap.shape[1],
            weights=config.weights,
        )

    def prepare(self) -> None:
        """Write the student's dataset, or those of its folds."""
        from train.cli.progress import ProgressBar
        from train.dataset.dataset import read_dataset
        from train.dataset.folds import write_fold
        from train.dataset.student import write_student

        self._begun.write()
        whole = read_dataset(self._run)
        with self._student.lock(), ProgressBar() as bar:
            write_student(self._resized(whole, self._student), whole, bar)
            if self._folds:
                for pair in self.pairs:
                    write_fold(pair.student)

    def train(self, pair: _Pair) -> None:
        """Pretrain, train and evaluate a student, or what an earlier call has not done of it."""
        run, config = pair.student.run, pair.config
        if self._options["music"]:
            config = replace(config, weights=self._pretrained(pair))
        name = f"{run.name} of {len(self.pairs)}" if self._folds else run.name
        train_and_evaluate(pair.student, config, name, compare_with=pair.teacher.run.folder)

    def _pretrained(self, pair: _Pair) -> str:
        """The network of the student's pretraining."""
        from train.cli.progress import ProgressBar
        from train.pretraining.pretrain import PretrainingConfig, pretrain
        from train.run import Run
        from train.teachers import open_teachers

        run, config = Run(pair.student.run.folder / "pretraining"), pair.config
        if not run.pretraining_json.is_file():
            settings = PretrainingConfig(
                architecture=config.architecture,
                width=config.width,
                weights=config.weights,
                spectrogram=pair.student.spectrogram,
                colormap=self._options["colormap"],
                epochs=self._options["pretraining_epochs"],
                batch_size=config.batch_size,
                precision=config.precision,
                seed=config.seed,
            )
            with ProgressBar() as bar:
                tested = {clip.content_sha256 for clip in pair.student.of("test")}
                teachers = open_teachers(config.teachers)
                pretrain(self._options["music"], run, teachers, settings, tested=tested, reporter=bar)
        return str(run.model)

    def result(self) -> list[str]:
        """Evaluate all folds together; the result of either in lines."""
        if not self._folds:
            return _evaluation_lines(self.pairs[0].student)
        from train.cli.progress import ProgressBar
        from train.evaluation.cross_validation import predict_network

        students = [pair.student for pair in self.pairs]
        with self._student.lock():
            with ProgressBar() as bar:
                predictions = predict_network(students, bar)
            result = write_result(
                self._student.folder,
                students,
                [predictions],
                self._begun.settings,
                teacher=self._teachers_predictions,
            )
        return result.as_text().splitlines()


def _folds(run: Path) -> list[Path]:
    """The folders of the folds of a cross-validation; none for an ordinary run."""
    if (run / "model.keras").exists():
        return []
    numbers = sorted(int(name) for path in run.glob("fold-*") if (name := path.name.removeprefix("fold-")).isdigit())
    return [run / f"fold-{number}" for number in numbers]


def _trained(run: Run) -> Dataset:
    """The dataset of a trained run."""
    from train.dataset.dataset import read_dataset
    from train.training.teacher_targets import check_teachable

    if run.card_json.is_file() and not run.dataset_csv.is_file():
        raise TmgcError(
            f"a student learns from the songs of its teacher: {run.folder} has a model, but none. Train on songs: "
            "tmgc-train all"
        )
    dataset = read_dataset(run)
    dataset.check_trained(run.card())
    check_teachable(dataset, [run.name])
    return dataset


def _check_teachers(pair: _Pair) -> None:
    """No teacher and no initial weights may know the test songs."""
    from train.dataset.folds import check_unknown
    from train.run import Run

    for path in map(Path, (*pair.config.teachers, pair.config.weights)):
        if path.exists():
            check_unknown(pair.test_songs, Run(path if path.is_dir() else path.parent))


def _sha256(teacher: str) -> str:
    """Of a run's model; empty for a teacher whose weights are those of a release."""
    model = Path(teacher, "model.keras")
    return sha256_of(model) if model.is_file() else ""


def _evaluation_lines(student: Dataset) -> list[str]:
    from train.evaluation.comparison import TeacherComparison
    from train.evaluation.metrics import with_ci
    from train.evaluation.results import DEMONSTRATION

    found = student.run.card().accuracy
    lines = [
        f"clip accuracy {with_ci(found['clip_accuracy'], found['clip_accuracy_ci'])}, song accuracy "
        f"{with_ci(found['song_accuracy'], found['song_accuracy_ci'])} on {found['songs']} songs",
        TeacherComparison(**found["teacher"]).as_text(),
    ]
    return [*lines, f"note: {DEMONSTRATION}"] if student.demonstration else lines
