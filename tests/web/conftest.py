from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium import webdriver

from facevalue.web.page import STATIC

from .browsing import chromium, hosting


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium("--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as driver:
        yield driver


@pytest.fixture(scope="module")
def scripts(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The browser at a place from which the page's modules can be imported, as ``/decision.js``."""
    with hosting(STATIC) as url:
        browser.get(f"{url}/icon.svg")
        yield browser
