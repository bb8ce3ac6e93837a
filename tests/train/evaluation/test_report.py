"""``report.html`` needs no other file, is well formed, and shows every genre and figure."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import pytest
import soundfile
from PIL import Image

from train.dataset.dataset import Dataset
from train.evaluation.baselines import Baseline
from train.evaluation.metrics import percent
from train.evaluation.report import html_report
from train.evaluation.results import DEMONSTRATION, Evaluation
from train.evaluation.robustness import DegradedScores
from train.run import PLOTS

Evaluated = tuple[Dataset, Evaluation, Sequence[str]]
_WITHOUT_END = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Checks that every tag is closed, and collects text and addresses."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _WITHOUT_END:
            self.open.append(tag)
        names = ("src", "href", "srcset", "poster", "data", "action")
        self.addresses += [(tag, value or "") for name, value in attrs if name in names]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def document(evaluated: Evaluated) -> str:
    dataset, _, _ = evaluated
    return dataset.run.report_html("test").read_text("utf-8")


def report(evaluated: Evaluated, **changes: object) -> str:
    dataset, result, _ = evaluated
    plots = {name: dataset.run.plot(name, "test") for name in PLOTS}
    return html_report(replace(result, **changes), dataset, dataset.run.card(), plots)  # type: ignore[arg-type]


def test_the_report_is_well_formed_and_holds_everything_itself(document: str) -> None:
    reader = Reader(document)
    assert reader.open == []
    assert all(address.startswith("data:") for _, address in reader.addresses)
    assert not re.search(r"https?:|@import|url\(", document)
    assert {"script", "link", "iframe"}.isdisjoint(reader.tags)
    assert len(document) < 5_000_000


def test_the_report_shows_every_genre_and_every_figure(document: str, evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    text = Reader(document).text
    for genre in result.genres:
        assert text.count(genre) >= 1
    shares = [result.song_accuracy, result.clip_accuracy, result.song_top2_accuracy]
    shares += [result.calibration.after.expected_calibration_error, result.rejection.coverage]
    for share in shares:
        assert percent(share) in text
    for low, high in (result.song_accuracy_ci, result.clip_accuracy_ci):
        assert f"{100 * low:.1f} to {100 * high:.1f}" in text
    for kind in ("speech", "noise", "hum", "silence"):
        assert kind in text
    assert f"Temperature {result.calibration.fit.temperature:.2f}" in text
    assert f"Below a confidence of {result.rejection.threshold:.2f}" in text


def test_a_refit_is_said(document: str, evaluated: Evaluated) -> None:
    dataset, result, _ = evaluated
    card, plots = dataset.run.card(), {name: dataset.run.plot(name, "test") for name in PLOTS}
    refit = html_report(result, dataset, card.replace(training={**card.training, "refit_epochs": 3}), plots)
    assert "trained once more" in Reader(refit).text
    assert "trained once more" not in document


def test_images_and_audio_are_embedded(document: str, evaluated: Evaluated) -> None:
    dataset, result, _ = evaluated
    addresses = Reader(document).addresses
    images = [address for tag, address in addresses if tag == "img"]
    clips = [address for tag, address in addresses if tag == "audio"]
    assert len(images) == len(PLOTS) + len(result.misclassified)
    assert len(clips) == len(result.misclassified) > 0
    for image in images:
        Image.open(BytesIO(b64decode(image.removeprefix("data:image/png;base64,")))).verify()
    samples, rate = soundfile.read(BytesIO(b64decode(clips[0].removeprefix("data:audio/mpeg;base64,"))))
    assert len(samples) / rate == pytest.approx(dataset.spectrogram.window_seconds, abs=0.1)


def test_every_misclassified_clip_is_named_with_its_files(document: str, evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    text = Reader(document).text
    for error in result.misclassified:
        assert error.audio in text
        assert error.image in text


def test_a_demonstration_has_its_warning_first(document: str, evaluated: Evaluated) -> None:
    text = Reader(document).text
    warned = DEMONSTRATION[:1].upper() + DEMONSTRATION[1:]
    assert 0 < text.index(warned) < text.index("Accuracy")
    assert warned not in Reader(report(evaluated, demonstration=False)).text


def test_robustness_and_the_baseline_have_tables_where_they_were_requested(document: str, evaluated: Evaluated) -> None:
    assert "Robustness" not in document
    assert "Baseline" not in document
    baseline = Baseline("MFCC & SVM", 0.6, (0.5, 0.7), 0.65, (0.5, 0.8), -0.1, (-0.2, 0.05), "It does <not> beat it")
    noisy = (
        DegradedScores("none", 40, 0.545, (0.4, 0.7)),
        DegradedScores("pink noise, SNR 20 dB", 40, 0.345, (0.2, 0.5)),
    )
    reader = Reader(report(evaluated, robustness=noisy, baselines=(baseline,)))
    assert reader.open == []
    for warned in ("pink noise, SNR 20 dB", "34.5 %", "MFCC & SVM", "It does <not> beat it", "-20.0 points"):
        assert warned in reader.text


def test_an_unscaled_model_has_the_reason_and_one_row_of_calibration(document: str, evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    assert f"temperature {result.calibration.fit.temperature:.2f}" in Reader(document).text
    fit = replace(result.calibration.fit, temperature=1.0, reason="there is too little <evidence>")
    calibration = replace(result.calibration, fit=fit, after=result.calibration.before)
    text = " ".join(Reader(report(evaluated, calibration=calibration)).text.split())
    assert "there is too little <evidence>, so the temperature stays 1." in text
    assert "temperature 1.00" not in text


def test_without_errors_the_report_lists_none(evaluated: Evaluated) -> None:
    assert "every clip is classified correctly" in Reader(report(evaluated, misclassified=())).text


def test_names_are_escaped(evaluated: Evaluated) -> None:
    _, result, _ = evaluated
    odd = replace(result.misclassified[0], song='<script>alert("ş")</script>\udcff', prediction="R&B <b>")
    written = report(evaluated, misclassified=(odd,)).encode("utf-8", "replace").decode()
    assert "<script>" not in written
    assert '<script>alert("ş")</script>?' in Reader(written).text
    assert "R&B <b>" in Reader(written).text


def test_clips_whose_audio_was_deleted_are_shown_without_it(
    evaluated: Evaluated, copy_of: Callable[[Dataset], Dataset]
) -> None:
    dataset, result, phases = evaluated
    copy = copy_of(dataset)
    for clip in copy.clips:
        clip.audio_path(copy.run).unlink()
    assert "audio" not in Reader(report((copy, result, phases))).tags
