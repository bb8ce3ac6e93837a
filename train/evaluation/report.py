"""``report.html``: an evaluation on one page that needs no other file, for a computer or a phone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from edge_runtime.audio import read_audio
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.evaluation.calibration import Calibration
from train.evaluation.rejection import Unknown
from train.evaluation.results import Evaluation, Misclassified
from train.html import cards, figure, files, heading, image, page, paragraph, sound, table, warning

_PICTURE_PIXELS = 160
"""Of a clip: twenty of them then take half a megabyte."""
_SOUND_RATE = 44_100
"""Hz. MP3 knows few rates, and every browser plays MP3."""


def html_report(evaluation: Evaluation, dataset: Dataset, card: ModelCard, plots: Mapping[str, Path]) -> str:
    """The page.

    Parameters
    ----------
    evaluation : Evaluation
    dataset : Dataset
        Whose clips were judged.
    card : ModelCard
        Of the model, as the evaluation leaves it.
    plots : dict of str to Path
        Of :func:`train.evaluation.plots.write_plots`.

    Returns
    -------
    document : str
        HTML without a reference to anything outside it; a few megabytes at most.
    """
    return page(
        f"{card.name}: how well it names {len(evaluation.genres)} genres",
        [
            *map(warning, evaluation.caveats()),
            *_scores(evaluation),
            figure(plots["confusion"].read_bytes(), "Clips by their true genre and by the model's answer"),
            *_confidence(evaluation.calibration, plots["reliability"]),
            *_unknown(evaluation.unknown),
            *_degraded(evaluation),
            *_baseline(evaluation),
            *_mistakes(evaluation.misclassified, dataset),
            *_training(plots, dataset.run.lr_finder("png")),
            heading("What the pictures look like"),
            figure(plots["examples"].read_bytes(), f"Clips of the {evaluation.split} split, a row for each genre"),
            *_model(card),
        ],
    )


def _scores(evaluation: Evaluation) -> Iterator[str]:
    each = evaluation
    rows = (
        ("songs", each.songs, each.song_accuracy, each.song_interval, each.song_top2_accuracy, each.song_macro_f1),
        ("clips", each.clips, each.clip_accuracy, each.clip_interval, each.clip_top2_accuracy, each.clip_macro_f1),
    )
    yield heading(f"Named right on the {evaluation.split} split")
    yield table(
        ("", "of", "named right", "95 % interval", "among the two likeliest", "macro F1"),
        [
            (name, count, f"{accuracy:.1%}", _interval(interval), f"{top2:.1%}", f"{f1:.2f}")
            for name, count, accuracy, interval, top2, f1 in rows
        ],
    )
    yield paragraph(
        "A song is named by the mean of its clips' probabilities. Intervals are bootstrapped over groups of songs, "
        "which share an artist, a group or their sound; a song alone is one."
    )
    yield heading("By genre")
    yield table(
        ("genre", "clips", "precision", "recall", "F1", "songs", "precision by song", "recall by song", "F1 by song"),
        [
            (genre, *_genre_cells(evaluation.per_genre[genre], "clips"), *_genre_cells(by_song, "songs"))
            for genre, by_song in evaluation.per_genre_songs.items()
        ],
    )


def _confidence(calibration: Calibration, plot: Path) -> Iterator[str]:
    yield heading("How sure it is, and how sure it may be")
    yield paragraph(
        f"Temperature {calibration.temperature:.2f}, fitted on {calibration.validation_clips} validation clips, "
        "divides the logits. Confidence is then off by the expected calibration error (15 bins):"
    )
    yield table(
        ("", "expected calibration error", "negative log likelihood"),
        [
            (name, f"{found.expected_calibration_error:.1%}", f"{found.negative_log_likelihood:.3f} nats")
            for name, found in (("before", calibration.before), ("after", calibration.after))
        ],
    )
    yield figure(plot.read_bytes(), "Share named right against confidence, before and after temperature scaling")


def _unknown(unknown: Unknown) -> Iterator[str]:
    yield heading("When it says unknown")
    right = "" if unknown.accepted_accuracy is None else f", {unknown.accepted_accuracy:.1%} of them the right one"
    yield paragraph(
        f"Below a confidence of {unknown.threshold:.2f}, chosen on the validation split, the answer is unknown. "
        f"{unknown.accepted:.1%} of the clips are given a genre{right}; {unknown.right_refused:.1%} of those that "
        "would be named right are refused. Of sound that is no music, made for this "
        "test; of some kinds, training may have shown the network other sounds:"
    )
    yield table(
        ("sound", "kind known to training", "windows", "wrongly given a genre", "95 % interval"),
        [
            (
                each.kind,
                "yes" if each.trained_on else "no",
                each.sounds,
                f"{each.given_a_genre:.0%}",
                _interval(each.interval),
            )
            for each in unknown.negatives
        ],
    )


def _degraded(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.degraded:
        return
    yield heading("With worse sound")
    as_it_is = evaluation.degraded[0].clip_accuracy
    yield table(
        ("sound", "clips", "named right", "95 % interval", "change"),
        [
            (
                each.name,
                each.clips,
                f"{each.clip_accuracy:.1%}",
                _interval(each.clip_interval),
                f"{100 * (each.clip_accuracy - as_it_is):+.1f} points",
            )
            for each in evaluation.degraded
        ],
    )


def _baseline(evaluation: Evaluation) -> Iterator[str]:
    baseline = evaluation.baseline
    if baseline is None:
        return
    yield heading("Against a baseline")
    yield paragraph(baseline.verdict)
    yield table(
        ("", "clips named right", "95 % interval", "songs named right", "95 % interval"),
        [
            (
                name,
                f"{each.clip_accuracy:.1%}",
                _interval(each.clip_interval),
                f"{each.song_accuracy:.1%}",
                _interval(each.song_interval),
            )
            for name, each in (("this network", evaluation), (baseline.name, baseline))
        ],
    )
    low, high = baseline.difference_interval
    yield paragraph(
        f"Network minus baseline, by clip: {100 * baseline.difference:+.1f} points "
        f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})."
    )


def _mistakes(misclassified: tuple[Misclassified, ...], dataset: Dataset) -> Iterator[str]:
    yield heading("What it got most wrong")
    if not misclassified:
        yield paragraph("Nothing: every clip was named right.")
        return
    yield paragraph("The wrong answers of which it was surest; files are named below the run's folder.")
    yield cards(_mistake(each, dataset) for each in misclassified)


def _mistake(mistake: Misclassified, dataset: Dataset) -> str:
    parts = [
        image(_thumbnail(dataset.run.folder / mistake.picture), f"spectrogram of {mistake.clip}"),
        paragraph(
            f"{mistake.genre}, named {mistake.prediction} with {mistake.confidence:.0%} "
            f"({mistake.genre} {mistake.genre_probability:.0%})"
        ),
        paragraph(f"{mistake.song}, from {mistake.offset_seconds:g} s"),
    ]
    # Whoever saves space may take the sound away: the pictures are enough to judge by.
    if (dataset.run.folder / mistake.sound).is_file():
        parts.append(sound(_mp3(dataset, mistake)))
    return "".join([*parts, files((mistake.sound, mistake.picture))])


def _training(plots: Mapping[str, Path], lr_finder: Path) -> Iterator[str]:
    if "training" in plots:
        yield heading("How it was trained")
        yield figure(plots["training"].read_bytes(), "Loss and accuracy by epoch, on training and validation songs")
    if lr_finder.is_file():
        yield figure(lr_finder.read_bytes(), "The learning rate was found by trying")


def _model(card: ModelCard) -> Iterator[str]:
    settings = card.spectrogram
    songs = {split: dict(card.training.get(split) or {}).get("songs") for split in ("train", "validation", "test")}
    facts = {
        "architecture": card.network.get("architecture"),
        "weights": card.network.get("parameters"),
        "started from": card.network.get("initial_weights"),
        "image": f"{settings.image_height} x {settings.image_width} pixels, {settings.n_mels} mel bands",
        "sound": f"{settings.window_seconds:g} s at {settings.sample_rate} Hz",
        **{f"songs to {split}": count for split, count in songs.items()},
        **{f"version of {name}": version for name, version in card.versions.items()},
    }
    yield heading("What was judged")
    yield table(("", card.name), [(name, value) for name, value in facts.items() if value is not None])


def _thumbnail(picture: Path) -> bytes:
    from PIL import Image

    with Image.open(picture) as opened:
        small = opened.convert("RGB")
    small.thumbnail((_PICTURE_PIXELS, _PICTURE_PIXELS))
    written = BytesIO()
    small.save(written, "PNG", optimize=True)
    return written.getvalue()


def _mp3(dataset: Dataset, mistake: Misclassified) -> bytes:
    """The two seconds that were judged, without their margins."""
    import soundfile

    (clip,) = [clip for clip in dataset.clips if clip.name == mistake.clip]
    seconds = dataset.spectrogram.window_seconds
    path = clip.audio_path(dataset.run)
    samples = read_audio(path, sample_rate=_SOUND_RATE, start_seconds=clip.lead_seconds, seconds=seconds)
    written = BytesIO()
    soundfile.write(written, samples, _SOUND_RATE, format="MP3")
    return written.getvalue()


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def _genre_cells(scores: Mapping[str, float], counted: str) -> list[str]:
    return [f"{scores[counted]:.0f}", *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1"))]
