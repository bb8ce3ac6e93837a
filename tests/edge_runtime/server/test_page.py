"""The page in a real browser: it shows what the listener hears, legibly and in both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Event, GenreClassifier
from edge_runtime.server.app import PAGE
from edge_runtime.server.corrections import CORRECTION_NAME
from edge_runtime.server.running import ServedListener, serve_listener
from edge_runtime.server.settings import ServerSettings
from tests.conftest import tone, until
from tests.edge_runtime.factories import make_prediction
from tests.edge_runtime.history.recorded import evening, write
from tests.edge_runtime.server.browser import Browser, browser, chromium  # noqa: F401  # fixtures

# ruff: noqa: F811  # fixtures

MAX_PAGE_BYTES = 100_000

Listen = Callable[..., ServedListener]


@pytest.fixture
def listen(models: dict[str, Path]) -> Iterator[Listen]:
    """Starts servers of listeners, whose results are those of the test."""
    with ExitStack() as stack:

        def start(*, history: Path | None = None, corrections: Path | None = None, **settings: Any) -> ServedListener:
            address = ServerSettings(**{"port": 0, **settings})
            classifier = GenreClassifier.open(models["tflite"])
            return stack.enter_context(
                serve_listener(models["tflite"], classifier, address, history=history, corrections=corrections)
            )

        yield start


def hear(served: ServedListener, *genres: str, **fields: Any) -> None:
    """One window after another, a second apart, the last one now."""
    served.hub.frames(np.ones((1, 64), np.float32), 1.0)
    now = datetime.now(UTC)
    for number, genre in enumerate(genres):
        time = now - timedelta(seconds=len(genres) - 1 - number)
        served.hub.window(make_prediction(genre, time=time, start=float(number), **fields))


def strip_colours(browser: Browser) -> int:
    """How many different colours the strip shows."""
    return int(
        browser.run(
            "const strip = document.getElementById('strip');"
            "const copy = document.createElement('canvas');"
            "Object.assign(copy, { width: strip.width, height: strip.height });"
            "const pen = copy.getContext('2d', { willReadFrequently: true });"
            "pen.drawImage(strip, 0, 0);"
            "return new Set(new Uint32Array(pen.getImageData(0, 0, copy.width, copy.height).data.buffer)).size"
        )
    )


def test_the_page_shows_what_is_heard_as_it_is_heard(browser: Browser, listen: Listen) -> None:
    served = listen()
    browser.open(served.address)
    browser.wait_for("#connection", "Live")
    browser.wait_for("#problem", "Starting")
    hear(served, "Halk")
    browser.wait_for("#genre", "Halk")
    assert browser.text("#facts").startswith("80% confident, since ")
    assert browser.text("#bars").split() == ["Halk", "80%", "Caz", "10%", "Rock", "10%"]
    assert (browser.text("#level"), browser.text("#delay")) == ("−20 dBFS", "19.0 ms")
    hear(served, "Caz", "silence")
    browser.wait_for("#genre", "Silence")
    assert [row.text.split("\n")[1] for row in browser.all("#answer-list li")] == ["Silence", "Caz", "Halk"]
    assert browser.driver.title == "Silence · tmgc"


def test_the_strip_draws_the_mel_bands_of_the_stream(browser: Browser, listen: Listen) -> None:
    served = listen()
    browser.open(served.address)
    browser.wait_for("#connection", "Live")
    assert strip_colours(browser) <= 1
    power = (10 ** np.random.default_rng(0).uniform(-4, 2, size=(100, 64))).astype(np.float32)
    served.hub.frames(power, 1.0)
    until(lambda: strip_colours(browser) > 10)


def test_last_answers_name_what_was_dropped_and_what_was_lost(browser: Browser, listen: Listen) -> None:
    served = listen()
    hear(served, "Halk", "unknown")
    browser.open(served.address)
    browser.wait_for("#answer-list", "Unknown")
    served.hub.window(make_prediction("Halk", start=5.0, dropped_windows=3))
    browser.wait_for("#answer-list", "3 windows dropped")
    served.hub.event(Event(datetime.now(UTC), "microphone", "device lost", "it was <b>unplugged</b>"))
    browser.wait_for("#answer-list", "Microphone lost")
    browser.wait_for("#problem", "The microphone is gone")
    assert "it was <b>unplugged</b>" in browser.text("#problem")
    served.hub.event(Event(datetime.now(UTC), "microphone", "device back", ""))
    hear(served, "Caz")
    until(lambda: not browser.text("#problem"))


@pytest.mark.full
def test_it_connects_again_after_the_server_has_restarted(browser: Browser, models: dict[str, Path]) -> None:
    def start(port: int) -> Any:
        classifier = GenreClassifier.open(models["tflite"])
        return serve_listener(models["tflite"], classifier, ServerSettings(port=port), history=None)

    with start(0) as served:
        browser.open(served.address)
        hear(served, "Halk")
        browser.wait_for("#genre", "Halk")
        port = int(served.address.rsplit(":", 1)[1].strip("/"))
    browser.wait_for("#connection", "Not live since")
    assert browser.run("return document.querySelector('#now').classList.contains('stale')")
    with start(port) as served:
        browser.wait_for("#connection", "Live")
        hear(served, "Rock")
        browser.wait_for("#genre", "Rock")
        assert browser.text("#connection") == "Live"


def test_the_language_is_the_visitors_and_can_be_chosen(browser: Browser, listen: Listen) -> None:
    served = listen()
    hear(served, "unknown")
    browser.open(served.address, language="tr-TR")
    browser.wait_for("#genre", "Bilinmiyor")
    browser.wait_for("#connection", "Canlı")
    assert "%80 güven" in browser.text("#facts")
    assert browser.run("return document.documentElement.lang") == "tr"
    browser.find("[data-language=en]").click()
    browser.wait_for("#genre", "Unknown")
    browser.driver.refresh()
    browser.wait_for("#genre", "Unknown")
    assert browser.run("return document.documentElement.lang") == "en"


def test_both_languages_have_all_words() -> None:
    text = (PAGE / "text.js").read_text("utf-8")
    english, turkish = (dict(re.findall(r"^    (\w+): (.+),$", part, re.MULTILINE)) for part in text.split("\n  tr: {"))
    names = re.compile(r"\{(\w+)\}")
    assert english.keys() == turkish.keys()
    for key, words in english.items():
        assert set(names.findall(words)) == set(names.findall(turkish[key])), key
    sources = "".join(path.read_text("utf-8") for path in PAGE.iterdir())
    used = {*re.findall(r'\bt\("(\w+)"', sources), *re.findall(r'data-t(?:-label)?="(\w+)"', sources)}
    assert used <= english.keys()


def luminance(colour: str) -> float:
    """Relative luminance, in [0, 1], of a colour such as ``rgb(1, 2, 3)``."""
    channels = np.array([int(value) for value in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG defines it, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_genres_stand_out_in_both_themes(dark: bool, browser: Browser, listen: Listen) -> None:
    served = listen()
    hear(served, "Halk")
    browser.open(served.address, dark=dark)
    browser.wait_for("#genre", "Halk")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    paper = browser.run(style, "html", "backgroundColor")
    assert (luminance(paper) < 0.1) == dark
    for selector in ("#genre", "#facts", "#connection", "#level", ".strip figcaption", ".value"):
        assert contrast(browser.run(style, selector, "color"), paper) >= 4.5, selector
    swatches = browser.run(
        "return Array.from({ length: 12 }, (_, index) => { const probe = document.createElement('i');"
        "probe.className = `swatch g${index}`; document.body.append(probe);"
        "return getComputedStyle(probe).backgroundColor })"
    )
    assert len(set(swatches)) == 12
    assert min(contrast(swatch, paper) for swatch in swatches) >= 3


@pytest.mark.full
@pytest.mark.parametrize("language", ["en", "tr"])
def test_it_fits_a_phone(language: str, browser: Browser, listen: Listen, tmp_path: Path) -> None:
    write(tmp_path / "history.sqlite", evening(30, at=datetime.now(UTC) - timedelta(minutes=31)))
    served = listen(history=tmp_path / "history.sqlite", corrections=tmp_path / "kept")
    hear(served, "Halk", "unknown", "silence", "Caz")
    browser.open(served.address, language=language, width=360)
    browser.wait_for("#genre", "Caz")
    until(lambda: browser.all(".column:enabled"))
    browser.all(".column:enabled")[-1].click()
    until(lambda: browser.all("#hour-list li"))
    assert browser.run("return document.documentElement.scrollWidth") == 360
    beyond = "return [...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > 360.5 "
    assert not browser.run(f"{beyond}&& !one.closest('.lane')).map(one => one.outerHTML)")
    small = [
        button.text
        for button in browser.all("button, .button, select, #drop")
        if button.is_displayed() and min(button.size.values()) < 24
    ]
    assert not small


@pytest.mark.full
def test_a_screen_reader_finds_landmarks_and_names(browser: Browser, listen: Listen, tmp_path: Path) -> None:
    served = listen(corrections=tmp_path / "kept")
    hear(served, "Halk", "Caz")
    browser.open(served.address)
    browser.wait_for("#answer-list", "Halk")
    for landmark in ("header", "main", "footer"):
        assert len(browser.all(landmark)) == 1
    assert [heading.text for heading in browser.all("h1")] == ["tmgc"]
    for element in browser.all("button, input, select, canvas, section, dialog"):
        if element.is_displayed():
            assert element.accessible_name, element.get_attribute("outerHTML")
    regions = "[role=status], [role=alert], [aria-live]"
    assert not browser.run(
        "return [...document.querySelectorAll('#genre, #bars, #song-state')].some(one => one.closest(arguments[0]))",
        regions,
    )


@pytest.mark.full
def test_a_genre_that_flickers_is_not_announced(browser: Browser, listen: Listen) -> None:
    served = listen()
    hear(served, *["Halk"] * 8)
    browser.open(served.address)
    until(lambda: browser.find("#announcement").get_attribute("textContent") == "Now: Halk")
    hear(served, "Caz")
    browser.wait_for("#genre", "Caz")
    assert browser.find("#announcement").get_attribute("textContent") == "Now: Halk"


@pytest.mark.full
def test_hours_of_today_show_their_windows(browser: Browser, listen: Listen, tmp_path: Path) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=10)
    write(tmp_path / "history.sqlite", evening(9, at=begin))
    served = listen(history=tmp_path / "history.sqlite")
    browser.open(served.address)
    until(lambda: browser.all(".column:enabled"))
    assert "Halk" in browser.text("#shares")
    column = browser.all(".column:enabled")[-1]
    assert re.match(r"\d\d:00: .*(Halk|Caz|Rock) \d", column.accessible_name)
    column.click()
    until(lambda: browser.all("#hour-list li"))
    assert re.fullmatch(r"\d\d:00–\d\d:00", browser.text("#hour-title"))
    browser.find("#hour-close").click()
    assert not browser.text("#hour")
    browser.find("[data-days='30']").click()
    until(lambda: "3\u00a0min\n33%" in browser.text("#shares"))


def test_without_a_history_it_says_so(browser: Browser, listen: Listen) -> None:
    browser.open(listen().address)
    browser.wait_for("#no-history", "No history is kept")


def test_a_press_on_an_answer_names_the_right_genre(browser: Browser, listen: Listen, tmp_path: Path) -> None:
    served = listen(corrections=tmp_path / "kept")
    for number, genre in enumerate(("Halk", "Halk", "Caz")):
        served.classifier.classify(tone(2.0, sample_rate=22_050))
        time = datetime.now(UTC) - timedelta(seconds=3 - number)
        served.hub.window(make_prediction(genre, time=time, start=2.0 * number))
    browser.open(served.address)
    until(lambda: len(browser.all("button.answer-row")) == 2)
    browser.all("button.answer-row")[1].click()
    browser.wait_for("#correction-what", "answer: Halk")
    browser.find("#correction-genres button:nth-child(3)").click()
    browser.wait_for("#correction-state", "2 pictures are kept as Rock.")
    (document,) = (tmp_path / "kept").glob(f"*/{CORRECTION_NAME}")
    assert json.loads(document.read_text("utf-8"))["genre"] == "Rock"
    browser.find("#correction button[type=submit]").click()
    browser.wait_for("#answer-list", "corrected: Rock")
    assert browser.run("return document.activeElement.innerText.includes('corrected: Rock')")
    hear(served, "Caz", "Rock")
    browser.wait_for("#genre", "Rock")
    assert browser.run("return document.activeElement.innerText.includes('corrected: Rock')"), "the row is still there"


def test_the_page_is_small_and_asks_for_nothing_from_elsewhere() -> None:
    files = {path: path.read_bytes() for path in PAGE.iterdir()}
    assert sum(map(len, files.values())) <= MAX_PAGE_BYTES
    for path, content in files.items():
        text = content.decode()
        addresses = re.findall(r"https?://[^\s\"']+", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(r"""(href|src)="/|["'`]/(v1|v2|health)|style="|<style|\son\w+="|javascript:""", text), path
