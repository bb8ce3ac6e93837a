"""``tmgc-listen``: names the genre of music files, 2-second window by window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.commands import RUNS, one_line_errors, say
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.listening import ListenSettings, Summary


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A .tflite or .onnx file of tmgc-export. Default: the newest under ./runs.",
)
@click.option("--hop", default=1.0, show_default=True, help="Seconds between windows; 2.0 is back to back.")
@click.option("--smooth", default=5, show_default=True, help="Windows averaged for the smoothed answer.")
@click.option("--threshold", type=float, help="Confidence below which the answer is 'unknown'. Default: the model's.")
@click.option("--silence", default=-50.0, show_default=True, help="Level below which a window is silence, dBFS.")
@click.option("--threads", type=int, help="Threads of the model. Default: all cores but one, at most 4.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.version_option(package_name="tmgc")
@one_line_errors
def main(
    files: tuple[Path, ...],
    model: Path | None,
    hop: float,
    smooth: int,
    threshold: float | None,
    silence: float,
    threads: int | None,
    as_json: bool,
) -> None:
    """Name the genre of each 2-second window of music FILES, and of each file as a whole.

    Exit code 0: every file was heard; 1: nothing but silence in one of them; 2: a file or an option was refused.
    """
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.listening import ListenSettings
    from edge_runtime.output import warning_of
    from edge_runtime.windows import hop_samples

    settings = ListenSettings(hop_seconds=hop, smooth=smooth, threshold=threshold, silence_dbfs=silence)
    model = model or _newest_export()
    classifier = GenreClassifier.open(model, threads=threads)
    spectrogram = classifier.card.spectrogram
    exact_hop = hop_samples(spectrogram, hop) / spectrogram.sample_rate
    say(f"{model}: {classifier.runtime}, {classifier.threads} thread(s), a window every {exact_hop:.3f} s")
    if warning := warning_of(classifier.card):
        say(f"warning: {warning}")
    codes = [_hear(path, classifier, settings, model=str(model), as_json=as_json) for path in files]
    sys.exit(max(codes))


def _newest_export() -> Path:
    found = [
        path
        for pattern in ("*.tflite", "*.onnx")
        for path in RUNS.glob(f"*/exports/{pattern}")
        if ".FAILED." not in path.name
    ]
    if not found:
        raise TmgcError("a model is needed: none under ./runs/*/exports. Name one with --model, or run tmgc-export")
    return max(found, key=lambda path: path.stat().st_mtime)


def _hear(path: Path, classifier: GenreClassifier, settings: ListenSettings, *, model: str, as_json: bool) -> int:
    """Print the answers for one file, and give the exit code that it asks for: a bad file does not stop the others."""
    from edge_runtime.output import refused_json, summary_json, summary_line

    try:
        summary = _answers(path, classifier, settings, as_json=as_json)
    except TmgcError as error:
        say(f"error: {error}")
        if as_json:
            click.echo(refused_json(str(path), str(error)))
        return 2
    click.echo(summary_json(summary, classifier, model) if as_json else summary_line(summary))
    return 0 if summary.probabilities else 1


def _answers(path: Path, classifier: GenreClassifier, settings: ListenSettings, *, as_json: bool) -> Summary:
    from edge_runtime.audio import AudioFile
    from edge_runtime.listening import Summarizer, listen
    from edge_runtime.output import window_json, window_line

    spectrogram = classifier.card.spectrogram
    with AudioFile(path, sample_rate=spectrogram.sample_rate) as file:
        summarizer = Summarizer(file.name)
        for answer in listen(file, classifier, settings):
            summarizer.add(answer)
            click.echo(window_json(answer) if as_json else window_line(answer))
    for warning in file.warnings:
        say(f"warning: {warning}")
    summary = summarizer.summary()
    if not summary.windows:
        raise TmgcError(
            f"a file must hold at least one window of {spectrogram.window_seconds} s: {path} holds "
            f"{file.read_seconds:.2f} s. Give a longer one"
        )
    return summary
