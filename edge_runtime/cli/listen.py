"""``tmgc-listen FILE...``: names the genre of music files, 2-second window by window."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.commands import newest_export, one_line_errors, say
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from edge_runtime.answers import Summary
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.listening import ListenSettings
    from edge_runtime.outputs import Output


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
    from edge_runtime.windows import hop_samples

    settings = ListenSettings(hop_seconds=hop, smooth=smooth, threshold=threshold, silence_dbfs=silence)
    model = model or newest_export()
    classifier = GenreClassifier.open(model, threads=threads)
    spectrogram = classifier.card.spectrogram
    exact_hop = hop_samples(spectrogram, hop) / spectrogram.sample_rate
    say(f"{model}: {classifier.runtime}, {classifier.threads} thread(s), a window every {exact_hop:.3f} s")
    if classifier.card.warning:
        say(f"warning: {classifier.card.warning}")
    outputs = _outputs(classifier, str(model), as_json=as_json)
    codes = [_hear(path, classifier, settings, outputs) for path in files]
    for output in outputs:
        output.close()
    sys.exit(max(codes))


def _outputs(classifier: GenreClassifier, model: str, *, as_json: bool) -> list[Output]:
    from edge_runtime.outputs.json_lines import JsonLines
    from edge_runtime.outputs.plain import PlainLines

    return [JsonLines(classifier, model) if as_json else PlainLines()]


def _hear(path: Path, classifier: GenreClassifier, settings: ListenSettings, outputs: Sequence[Output]) -> int:
    """Hear one file, and give the exit code that it asks for: a bad file does not stop the others."""
    from edge_runtime.answers import Event

    try:
        summary = _answers(path, classifier, settings, outputs)
    except TmgcError as error:
        say(f"error: {error}")
        refused = Event(datetime.now(UTC), str(path), "file refused", str(error))
        for output in outputs:
            output.event(refused)
        return 2
    for output in outputs:
        output.summary(summary)
    return 0 if summary.probabilities else 1


def _answers(path: Path, classifier: GenreClassifier, settings: ListenSettings, outputs: Sequence[Output]) -> Summary:
    from edge_runtime.answers import Summarizer
    from edge_runtime.audio import AudioFile
    from edge_runtime.listening import listen

    spectrogram = classifier.card.spectrogram
    with AudioFile(path, sample_rate=spectrogram.sample_rate) as file:
        summarizer = Summarizer(file.name)
        for answer in listen(file, classifier, settings):
            summarizer.add(answer)
            for output in outputs:
                output.window(answer)
    for warning in file.warnings:
        say(f"warning: {warning}")
    summary = summarizer.summary()
    if not summary.windows:
        raise TmgcError(
            f"a file must hold at least one window of {spectrogram.window_seconds} s: {path} holds "
            f"{file.read_seconds:.2f} s. Give a longer one"
        )
    return summary
