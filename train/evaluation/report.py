"""``report.html``: an evaluation as one self-contained page, for a computer or a phone."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from edge_runtime.audio_file import read_audio
from edge_runtime.html import render
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.evaluation.metrics import Interval, percent, with_ci
from train.evaluation.results import Evaluation, Misclassified
from train.run import SPLITS

_THUMBNAIL_PIXELS = 160
"""Twenty of them take half a megabyte."""
_MP3_SAMPLE_RATE = 44_100
"""Hz. MP3 has few sample rates, and every browser plays it."""

Row = tuple[object, ...]
"""The cells of a row of a table."""


class _Error(NamedTuple):
    """A misclassified clip with what the page embeds of it."""

    clip: Misclassified
    thumbnail: bytes
    """PNG."""
    mp3: bytes | None
    """None where the audio file was deleted to save space."""


def html_report(evaluation: Evaluation, dataset: Dataset, card: ModelCard, plots: Mapping[str, Path]) -> str:
    """Render the report.

    Parameters
    ----------
    evaluation : Evaluation
    dataset : Dataset
        Whose clips were evaluated.
    card : ModelCard
        Of the model, as the evaluation leaves it.
    plots : dict of str to Path
        Of :func:`train.evaluation.plots.write_plots`.

    Returns
    -------
    document : str
        HTML without references to other files; a few megabytes at most.
    """
    lr_finder = dataset.run.lr_finder("png")
    return render(
        "train",
        "report.html",
        title=f"{card.name}: evaluation on the {evaluation.split} split",
        evaluation=evaluation,
        card=card,
        plots={name: path.read_bytes() for name, path in plots.items()},
        lr_finder=lr_finder.read_bytes() if lr_finder.is_file() else None,
        errors=[_error(clip, dataset) for clip in evaluation.misclassified],
        genres=_genre_rows(evaluation),
        song_answers=_song_answer_rows(evaluation),
        answer_columns=[column for name in evaluation.song_answers.curves for column in (name, "95 % CI")],
        calibration=_calibration_rows(evaluation),
        out_of_distribution=_out_of_distribution_rows(evaluation),
        robustness=_robustness_rows(evaluation),
        teacher_rows=_teacher_rows(evaluation),
        baselines=_baseline_rows(evaluation),
        facts=_facts(card),
        percent=lambda share: _unbroken(percent(share)),
        with_ci=lambda share, ci: _unbroken(with_ci(share, ci)),
        interval=_interval,
        points=_points,
    )


def _teacher_rows(evaluation: Evaluation) -> list[Row]:
    if not (found := evaluation.teacher):
        return []
    return [
        (name, _points(difference), f"{_points(low)} to {_points(high)}")
        for name, difference, (low, high) in (
            ("clips", found.clip_difference, found.clip_difference_ci),
            ("songs", found.song_difference, found.song_difference_ci),
        )
    ]


def _genre_rows(evaluation: Evaluation) -> list[Row]:
    def cells(scores: Mapping[str, float], counted: str) -> Row:
        return (f"{scores[counted]:.0f}", *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")))

    return [
        (genre, *cells(evaluation.per_genre[genre], "clips"), *cells(by_song, "songs"))
        for genre, by_song in evaluation.per_genre_songs.items()
    ]


def _song_answer_rows(evaluation: Evaluation) -> list[Row]:
    """A row for each point of the curves: seconds, songs, and accuracy with CI of each pooling."""
    curves = evaluation.song_answers.curves.values()
    return [
        (
            f"{points[0].seconds:g} s",
            points[0].songs,
            *(cell for point in points for cell in (percent(point.accuracy), _interval(point.accuracy_ci))),
        )
        for points in zip(*curves, strict=True)
    ]


def _calibration_rows(evaluation: Evaluation) -> list[Row]:
    calibration = evaluation.calibration
    rows = {"unscaled": calibration.before}
    if calibration.fit.temperature != 1:
        rows[f"temperature {calibration.fit.temperature:.2f}"] = calibration.after
    return [
        (name, percent(each.expected_calibration_error), f"{each.negative_log_likelihood:.3f} nats")
        for name, each in rows.items()
    ]


def _out_of_distribution_rows(evaluation: Evaluation) -> list[Row]:
    return [
        (
            each.kind,
            "yes" if each.in_training else "no",
            each.windows,
            f"{100 * each.false_acceptance_rate:.0f} %",
            _interval(each.false_acceptance_ci),
        )
        for each in evaluation.rejection.out_of_distribution
    ]


def _robustness_rows(evaluation: Evaluation) -> list[Row]:
    return [
        (
            each.name,
            each.clips,
            percent(each.clip_accuracy),
            _interval(each.clip_accuracy_ci),
            f"{_points(each.clip_accuracy - evaluation.robustness[0].clip_accuracy)} points",
        )
        for each in evaluation.robustness
    ]


def _baseline_rows(evaluation: Evaluation) -> list[Row]:
    compared: list[tuple[str, Any]] = [("network", evaluation), *((each.name, each) for each in evaluation.baselines)]
    return [
        (
            name,
            percent(each.clip_accuracy),
            _interval(each.clip_accuracy_ci),
            percent(each.song_accuracy),
            _interval(each.song_accuracy_ci),
        )
        for name, each in compared
    ]


def _facts(card: ModelCard) -> list[Row]:
    settings = card.spectrogram
    songs = {split: dict(card.training.get(split) or {}).get("songs") for split in SPLITS}
    facts = {
        "architecture": card.network.get("architecture"),
        "parameters": card.network.get("parameters"),
        "initial weights": card.network.get("initial_weights"),
        "image": f"{settings.image_height} x {settings.image_width} pixels of {len(card.colormap[0])} channel(s), "
        f"{settings.n_mels} mel bands",
        "window": f"{settings.window_seconds:g} s at {settings.sample_rate} Hz",
        **{f"{split} songs": count for split, count in songs.items()},
        "versions": ", ".join(f"{name} {version}" for name, version in card.versions.items()) or None,
    }
    return [(name, value) for name, value in facts.items() if value is not None]


def _error(clip: Misclassified, dataset: Dataset) -> _Error:
    has_audio = (dataset.run.folder / clip.audio).is_file()
    return _Error(clip, _thumbnail(dataset.run.folder / clip.image), _mp3(dataset, clip) if has_audio else None)


def _thumbnail(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _mp3(dataset: Dataset, error: Misclassified) -> bytes:
    """The clip without its margins."""
    import soundfile

    clip = next(clip for clip in dataset.clips if clip.name == error.clip)
    samples = read_audio(
        clip.audio_path(dataset.run),
        sample_rate=_MP3_SAMPLE_RATE,
        start_seconds=clip.lead_seconds,
        seconds=dataset.spectrogram.window_seconds,
    )
    file = BytesIO()
    soundfile.write(file, samples, _MP3_SAMPLE_RATE, format="MP3")
    return file.getvalue()


def _interval(ci: Interval) -> str:
    return f"{100 * ci[0]:.1f} to {100 * ci[1]:.1f}"


def _points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def _unbroken(text: str) -> str:
    """With no-break spaces before the percent signs."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
