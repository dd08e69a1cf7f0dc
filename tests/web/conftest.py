from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from facevalue.evidence.card import ModelCard
from facevalue.runtime import open_folder
from facevalue.web import engine_files
from facevalue.web.canaries import canaries
from facevalue.web.page import STATIC
from facevalue.web.site import write_site

from . import tiny_networks
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


@pytest.fixture(scope="session")
def engines() -> Path:
    """The engines' files; tests are offline, so ``make web-engines`` has fetched them."""
    if not engine_files.CARRIED.is_dir():
        pytest.skip("the engines of the web page are not here; run: make web-engines")
    return engine_files.engine_folder()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the network of tiny_networks.py, with its ``model.tflite``."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tiny_networks.write_model(folder)
    tiny_networks.write_tflite(folder / "model.tflite")
    return folder


Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tiny: Path, engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Write a site of both engines, or of those given with their network's file, with the tiny model's card changed."""
    known = canaries(open_folder(tiny))

    def write(networks: dict[str, Path] | None = None, **card: object) -> Path:
        folder = tmp_path_factory.mktemp("site")
        chosen = networks or {"litert": tiny / "model.tflite", "onnxruntime": tiny / "model.onnx"}
        write_site(folder, ModelCard.load(tiny).changed(**card), chosen, engines, known)  # type: ignore[arg-type]
        return folder

    return write


@pytest.fixture(scope="session")
def site(build: Build) -> Path:
    """The site of both engines; not to be changed."""
    return build()
