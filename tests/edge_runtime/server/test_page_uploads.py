"""A visitor of the page uploads a file, and is shown its genres or why there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import GenreClassifier
from edge_runtime.server.running import Server, serve_models
from edge_runtime.server.settings import ServerSettings
from tests.conftest import until
from tests.edge_runtime.server.browser import Browser, browser, chromium  # noqa: F401  # fixtures
from tests.edge_runtime.server.conftest import wav

# ruff: noqa: F811  # fixtures


def test_a_song_shows_its_genres_and_its_json(browser: Browser, server: Server, tmp_path: Path) -> None:
    song = tmp_path / "song & <i>dance.wav"
    song.write_bytes(wav(20))
    browser.open(server.address)
    browser.wait_for("#connection", "Uploads only")
    until(lambda: browser.find("#drop").is_displayed())
    assert not browser.text("#now")
    browser.find("#file").send_keys(str(song))
    browser.wait_for("#song-state", "The whole song")
    assert browser.text("#song-name") == song.name
    assert browser.text("#song-genre") in ("Halk", "Caz", "Rock", "Unknown")
    assert browser.all("#song-lane i")
    assert browser.text("#song-end") == "0:20"
    link = browser.find("#song-json")
    assert link.get_attribute("download") == f"{song.name}.ndjson"
    assert str(link.get_attribute("href")).startswith("blob:")


def test_a_file_that_is_no_sound_is_refused_in_words(browser: Browser, server: Server, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("no sound " * 100)
    browser.open(server.address)
    until(lambda: browser.find("#drop").is_displayed())
    browser.find("#file").send_keys(str(tmp_path / "letter.txt"))
    browser.wait_for("#song-state", "No answer: a body must be a sound that can be decoded")


@pytest.mark.full
def test_of_several_models_one_can_be_chosen(browser: Browser, models: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(models["tflite"].read_bytes())
    opened = [(path, GenreClassifier.open(path)) for path in (models["tflite"], other)]
    with serve_models(opened, ServerSettings(port=0)) as server:
        browser.open(server.address)
        until(lambda: browser.text("#model").split() == ["tiny.float32", "other"])
