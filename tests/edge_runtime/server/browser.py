"""The page in a real headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import until

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

CSS_SELECTOR = "css selector"


def missing() -> list[str]:
    """What the system lacks for it."""
    programs = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return programs if find_spec("selenium") else [*programs, "selenium"]


class Browser:
    """One window of Chromium.

    Attributes
    ----------
    driver : webdriver.Chrome
    """

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def open(self, address: str, *, language: str = "en", dark: bool = False, width: int = 1280) -> None:
        """Open a page as a new visitor with these preferences."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        agent = self.driver.execute_script("return navigator.userAgent")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        self.driver.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        self.driver.get("about:blank")  # another fragment alone would open nothing
        self.driver.get(address)

    def find(self, selector: str) -> WebElement:
        """The first element of a selector."""
        return self.driver.find_element(CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Every element of a selector."""
        return self.driver.find_elements(CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What the first element of a selector shows; nothing if it is hidden."""
        found = "const one = document.querySelector(arguments[0]); return one.checkVisibility() ? one.innerText : ''"
        return str(self.run(found, selector))

    def wait_for(self, selector: str, words: str) -> None:
        """Wait until an element shows words."""
        until(lambda: words in self.text(selector))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the console says since the last call, such as violations of the content security policy."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for all tests of a module."""
    if lacking := missing():
        pytest.skip(f"no browser without {', '.join(lacking)}: see .ci/run for the packages, and the extra dev")
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The same, whose page must have nothing to complain about."""
    yield chromium
    complaints = [line for line in chromium.complaints() if "Failed to load resource" not in line]
    chromium.driver.get("about:blank")
    assert not complaints, "\n".join(complaints)
