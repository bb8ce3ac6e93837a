"""The page of a real ``tmgc-listen``: of a paced file and of a microphone, and a correction that is trained on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime.model_card import ModelCard
from edge_runtime.server.corrections import CORRECTION_NAME
from tests.conftest import tone, until
from tests.edge_runtime.conftest import LISTEN
from tests.edge_runtime.server.browser import Browser, browser, chromium  # noqa: F401  # fixtures
from tests.edge_runtime.server.test_page import strip_colours
from tests.edge_runtime.virtual_microphone import VirtualMicrophone
from tests.factories import tiny_backbone  # noqa: F401  # registers the architecture
from train.dataset.dataset import read_dataset
from train.run import Run

# ruff: noqa: F811  # fixtures

pytestmark = pytest.mark.full


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(
    *arguments: object, port: int, environment: dict[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """``tmgc-listen`` as a process of its own that serves a page: the page's address, and the process."""
    command = [*LISTEN, *map(str, arguments), "--plain", "--serve", str(port)]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment or dict(os.environ)) as process:
        try:
            until(lambda: _answers(port))
            yield f"http://127.0.0.1:{port}/", process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def write_song(path: Path, *, seconds: float, sample_rate: int = 22_050) -> Path:
    """Tones that change every second."""
    notes = [tone(1.0, sample_rate=sample_rate, hz=200.0 + 90 * number) for number in range(round(seconds))]
    soundfile.write(path, np.concatenate(notes), sample_rate)
    return path


def test_a_paced_file_is_shown_live_and_again_after_a_restart(
    browser: Browser, models: dict[str, Path], tmp_path: Path
) -> None:
    song, history, port = write_song(tmp_path / "song.wav", seconds=120), tmp_path / "heard.sqlite", free_port()
    command = (song, "--speed", 1, "--model", models["tflite"], "--history", history)
    with listening(*command, port=port) as (address, _):
        browser.open(address)
        browser.wait_for("#connection", "Live")
        until(lambda: browser.text("#genre") in ("Halk", "Caz", "Rock", "Unknown"))
        until(lambda: strip_colours(browser) > 10)
        browser.wait_for("#health", "song.wav: arrives")
    browser.wait_for("#connection", "Not live since")
    with listening(*command, port=port):
        until(lambda: browser.text("#connection") == "Live")
        before = browser.text("#facts")
        until(lambda: browser.text("#facts") != before)


def test_a_server_that_answers_no_more_is_not_called_live(
    browser: Browser, models: dict[str, Path], tmp_path: Path
) -> None:
    song = write_song(tmp_path / "song.wav", seconds=120)
    with listening(song, "--speed", 1, "--model", models["tflite"], port=free_port()) as (address, process):
        browser.open(address)
        browser.wait_for("#connection", "Live")
        process.send_signal(signal.SIGSTOP)
        browser.wait_for("#connection", "Not live since")
        process.send_signal(signal.SIGCONT)
        until(lambda: browser.text("#connection") == "Live")


def test_a_microphone_is_shown_live_and_its_loss_too(
    browser: Browser, brief_model: Path, virtual_microphone: VirtualMicrophone, tmp_path: Path
) -> None:
    virtual_microphone.play(write_song(tmp_path / "song.wav", seconds=60))
    arguments = ("--model", brief_model, "--wait-device", 10)
    with listening(*arguments, port=free_port(), environment=virtual_microphone.environment) as (address, _):
        browser.open(address)
        until(lambda: browser.text("#genre") in ("Halk", "Caz", "Rock", "Unknown"))
        until(lambda: strip_colours(browser) > 10)
        virtual_microphone.unplug()
        browser.wait_for("#problem", "The microphone is gone")
        browser.wait_for("#answer-list", "Microphone lost")


def test_a_correction_is_made_and_then_trained_on(
    browser: Browser, models: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    song, kept = write_song(tmp_path / "song.wav", seconds=60), tmp_path / "kept"
    command = (song, "--speed", 1, "--model", models["tflite"], "--keep-corrections", kept)
    with listening(*command, port=free_port()) as (address, _):
        browser.open(address)
        until(lambda: browser.all("button.answer-row"))
        browser.run("document.querySelector('button.answer-row').click()")
        browser.find("#correction-genres button:nth-child(2)").click()
        browser.wait_for("#correction-state", "kept as Caz")
    assert len(list(kept.glob(f"*/{CORRECTION_NAME}"))) == 1
    dataset = read_dataset(_trained(tmp_path, kept, card))
    corrected = [clip for clip in dataset.clips if clip.is_correction]
    assert {(clip.genre, clip.split) for clip in corrected} == {("Caz", "train")}


def _trained(folder: Path, kept: Path, card: ModelCard) -> Run:
    """A small network that ``tmgc-train all`` has trained on songs and corrections."""
    from tests.train.cli.conftest import tmgc_train

    for genre in card.genres:
        for song in range(3):
            (folder / "songs" / genre).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng([song, len(genre)]).normal(0, 0.1, 3 * 22_050)
            soundfile.write(folder / "songs" / genre / f"{song}.wav", noise, 22_050)
    settings = card.spectrogram
    size = f"{settings.image_height}x{settings.image_width}"
    preparation = ["--offsets", 0, "--image-size", size, "--sample-rate", settings.sample_rate, "--corrections", kept]
    training = ["--architecture", "tiny", "--weights", "none", "--head-epochs", 0, "--epochs", 1]
    done = tmgc_train("all", folder / "songs", folder / "run", *preparation, *training)
    assert done.exit_code == 0, done.stderr
    assert "1 corrections" in done.stderr
    return Run(folder / "run")
