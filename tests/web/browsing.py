"""Headless Chromium, and a plain host of static files, for tests of the page."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]

# Chromium without a graphics card says so each time a page asks for one.
_NO_COMPLAINT = re.compile("status of 4|No available adapters|No GPU adapter found")

FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1000,900")


@contextmanager
def chromium(*flags: str) -> Iterator[webdriver.Chrome]:
    """A browser of its own, with a fresh profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, *(flags or ("--disable-gpu",))):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


class _Host(http.server.SimpleHTTPRequestHandler):
    """As any free host: no special headers. Notes what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def hosting(folder: Path, asked: list[str] | None = None) -> Iterator[str]:
    """The address of a host of ``folder``; the paths that it is asked for are added to ``asked``."""
    handler = type("Host", (_Host,), {"asked": [] if asked is None else asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run(browser: webdriver.Chrome, program: str, *values: Any) -> Any:
    """The result of an asynchronous function's body, in which ``values`` are the arguments and ``bytesOf`` decodes."""
    whole = f"""
        const done = arguments[arguments.length - 1];
        const values = JSON.parse(arguments[0]);
        const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        (async () => {{ {program} }})().then(
          (result) => done(JSON.stringify({{ result }})),
          (error) => done(JSON.stringify({{ error: String(error?.stack ?? JSON.stringify(error)) }})));
    """
    answer = json.loads(browser.execute_async_script(whole, json.dumps(values)))  # type: ignore[no-untyped-call]
    assert "error" not in answer, answer["error"]
    return answer.get("result")


def text(browser: webdriver.Chrome, selector: str) -> str:
    """The text of the first such element."""
    return browser.find_element(By.CSS_SELECTOR, selector).text


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser's console holds against the page; a refused image's status is no complaint."""
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if not _NO_COMPLAINT.search(entry["message"])]
