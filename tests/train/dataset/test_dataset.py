"""The clips of a run are read complete, or refused with the file's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import SpectrogramSettings, TmgcError
from tests.conftest import tone
from train.dataset.build import magma
from train.dataset.dataset import Clip, Dataset, read_dataset, write_dataset
from train.run import Run

RATE = 11_025
CLIP = Clip("a", "Caz/a.wav", "Caz", "test", 1.0, 0.5, -15.0, "Caz/a.wav")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    run = Run(tmp_path / "run")
    run.clips.mkdir(parents=True)
    settings = SpectrogramSettings(sample_rate=RATE, image_height=32, image_width=32)
    return Dataset(run, ("Caz", "Halk"), settings, np.zeros((256, 3), np.uint8), demonstration=True, clips=(CLIP,))


@pytest.mark.parametrize("seconds", [2.5, 3.0])
def test_a_clip_that_is_whole_has_its_window_even_without_its_last_margin(dataset: Dataset, seconds: float) -> None:
    soundfile.write(CLIP.audio_path(dataset.run), tone(seconds, sample_rate=RATE), RATE)
    assert len(dataset.samples(CLIP)) == 2 * RATE
    assert len(dataset.audio(CLIP)) == pytest.approx(seconds * RATE, abs=1)


def test_a_clip_that_is_too_short_is_refused_wherever_its_sound_is_asked_for(dataset: Dataset) -> None:
    soundfile.write(CLIP.audio_path(dataset.run), tone(2.4, sample_rate=RATE), RATE)
    message = r"a\.flac is too short\. Run: tmgc-train prepare"
    for ask in (dataset.audio, dataset.samples, lambda clip: list(dataset.windows([clip], hop_seconds=1.0))):
        with pytest.raises(TmgcError, match=message):
            ask(CLIP)


@pytest.fixture
def written(tmp_path: Path) -> Dataset:
    clips = tuple(
        Clip(f"{genre}{number}", (song := f"{genre}/{number}.mp3"), genre, "train", 60.0, 0.5, -20.0, group=song)
        for genre in ("Caz", "Halk")
        for number in range(2)
    )
    made = Dataset(Run(tmp_path), ("Caz", "Halk"), SpectrogramSettings(), magma(), False, clips)
    write_dataset(made)
    return made


def test_what_was_written_is_read(written: Dataset) -> None:
    assert read_dataset(written.run).clips == written.clips


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (",0.500000,", ",nan,"),
        (",0.500000,", ",inf,"),
        (",0.500000,", ",-5,"),
        (",train,", ",exam,"),
        ("Caz,", "Cazz,"),
        (",60.000,", ",inf,"),
        (",-20.0,", ",nan,"),
        ("Caz1,", "Caz0,"),
        ("Caz1,", "../Caz1,"),
        (",Caz/1.mp3,,", ",Caz/1.mp3"),
        (",Caz/1.mp3,,", ",Caz/1.mp3,,,more"),
    ],
)
def test_a_clip_that_cannot_be_is_refused(before: str, after: str, written: Dataset) -> None:
    path = written.run.dataset_csv
    path.write_text(path.read_text("utf-8").replace(before, after), "utf-8")
    with pytest.raises(TmgcError, match="tmgc-train prepare"):
        read_dataset(written.run)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("genres", "CazHalk"),
        ("genres", ["Caz", "Halk", "Halk"]),
        ("genres", ["Caz", "Halk", 3]),
        ("genres", ["Caz", "silence"]),
        ("genres", ["Caz", "H\nalk"]),
        ("genres", 3),
        ("genres", None),
        ("demonstration", "no"),
        ("demonstration", None),
        ("colormap", [[0, 0, 0]] * 255),
        ("colormap", [[0, 0, 256]] * 256),
        ("colormap", [[0, 0]] * 256),
        ("colormap", [[0]] * 255 + [[0, 0, 0]]),
        ("colormap", [[0.5, 0, 0]] * 256),
    ],
)
def test_settings_that_cannot_be_are_refused(field: str, wrong: object, written: Dataset) -> None:
    path = written.run.dataset_json
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {field: wrong}), "utf-8")
    with pytest.raises(TmgcError, match="tmgc-train prepare"):
        read_dataset(written.run)
