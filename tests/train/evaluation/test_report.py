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
from train.evaluation.report import html_report
from train.evaluation.results import DEMONSTRATION, Evaluation
from train.evaluation.robustness import Degraded

Judged = tuple[Dataset, Evaluation, Sequence[str]]
PLOTS = ("confusion", "reliability", "training", "examples")
_WITHOUT_END = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Holds every tag against its end, and keeps text and addresses."""

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
            self.text += data


@pytest.fixture(scope="module")
def document(judged: Judged) -> str:
    dataset, _, _ = judged
    return dataset.run.report_html("test").read_text("utf-8")


def report(judged: Judged, **changes: object) -> str:
    dataset, result, _ = judged
    plots = {name: dataset.run.plot(name, "test") for name in PLOTS}
    return html_report(replace(result, **changes), dataset, dataset.run.card(), plots)  # type: ignore[arg-type]


def test_the_report_is_well_formed_and_holds_everything_itself(document: str) -> None:
    reader = Reader(document)
    assert reader.open == []
    assert all(address.startswith("data:") for _, address in reader.addresses)
    assert not re.search(r"https?:|@import|url\(", document)
    assert {"script", "link", "iframe"}.isdisjoint(reader.tags)
    assert len(document) < 5_000_000


def test_the_report_shows_every_genre_and_every_figure(document: str, judged: Judged) -> None:
    _, result, _ = judged
    text = Reader(document).text
    for genre in result.genres:
        assert text.count(genre) >= 1
    figures = [result.song_accuracy, *result.song_interval, result.clip_accuracy, *result.clip_interval]
    figures += [result.song_top2_accuracy, result.calibration.after.expected_calibration_error]
    for share in figures:
        assert f"{share:.1%}" in text
    for kind in ("speech", "noise", "hum", "silence"):
        assert kind in text
    assert f"Temperature {result.calibration.temperature:.2f}" in text
    assert f"Below a confidence of {result.unknown.threshold:.2f}" in text


def test_plots_pictures_and_sounds_can_be_seen_and_heard(document: str, judged: Judged) -> None:
    dataset, result, _ = judged
    addresses = Reader(document).addresses
    pictures = [address for tag, address in addresses if tag == "img"]
    sounds = [address for tag, address in addresses if tag == "audio"]
    assert len(pictures) == len(PLOTS) + len(result.misclassified)
    assert len(sounds) == len(result.misclassified) > 0
    for picture in pictures:
        Image.open(BytesIO(b64decode(picture.removeprefix("data:image/png;base64,")))).verify()
    samples, rate = soundfile.read(BytesIO(b64decode(sounds[0].removeprefix("data:audio/mpeg;base64,"))))
    assert len(samples) / rate == pytest.approx(dataset.spectrogram.window_seconds, abs=0.1)


def test_every_mistake_is_named_with_its_files(document: str, judged: Judged) -> None:
    _, result, _ = judged
    text = Reader(document).text
    for mistake in result.misclassified:
        assert mistake.sound in text
        assert mistake.picture in text


def test_a_demonstration_says_so_first(document: str, judged: Judged) -> None:
    text = Reader(document).text
    said = DEMONSTRATION[:1].upper() + DEMONSTRATION[1:]
    assert 0 < text.index(said) < text.index("Named right")
    assert said not in Reader(report(judged, demonstration=False)).text


def test_worse_sound_and_the_baseline_have_tables_where_they_were_asked_for(document: str, judged: Judged) -> None:
    assert "With worse sound" not in document
    assert "Against a baseline" not in document
    baseline = Baseline("MFCC & SVM", 0.6, (0.5, 0.7), 0.65, (0.5, 0.8), -0.1, (-0.2, 0.05), "it does <not> beat it")
    worse = (
        Degraded("as it is", 40, 0.545, (0.4, 0.7)),
        Degraded("noise at 20 dB SNR", 40, 0.345, (0.2, 0.5)),
    )
    reader = Reader(report(judged, degraded=worse, baseline=baseline))
    assert reader.open == []
    for said in ("noise at 20 dB SNR", "34.5%", "MFCC & SVM", "it does <not> beat it", "-20.0 points"):
        assert said in reader.text


def test_without_mistakes_it_says_so(judged: Judged) -> None:
    assert "every clip was named right" in Reader(report(judged, misclassified=())).text


def test_names_are_escaped(judged: Judged) -> None:
    _, result, _ = judged
    odd = replace(result.misclassified[0], song='<script>alert("ş")</script>\udcff', prediction="R&B <b>")
    written = report(judged, misclassified=(odd,)).encode("utf-8", "replace").decode()
    assert "<script>" not in written
    assert '<script>alert("ş")</script>?' in Reader(written).text
    assert "R&B <b>" in Reader(written).text


def test_whose_sound_was_taken_away_to_save_space_is_shown_without(
    judged: Judged, copy_of: Callable[[Dataset], Dataset]
) -> None:
    dataset, result, phases = judged
    copy = copy_of(dataset)
    for clip in copy.clips:
        clip.audio_path(copy.run).unlink()
    assert "audio" not in Reader(report((copy, result, phases))).tags
