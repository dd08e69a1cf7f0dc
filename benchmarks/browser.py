"""A site in headless Chromium beside Python: the same answers, time per image, cold start. See benchmarks.runtimes.

It compares in the page's own way: the site's canaries are all drawn files that browsers can read, and the model's test
images.
"""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.web.browsing import chromium, hosting, run

from facevalue.export.base import Pixels
from facevalue.images.parity import ParityFile, parity_files
from facevalue.images.preprocessing import Preprocessing
from facevalue.runtime import Predictor, open_folder
from facevalue.web.canaries import Canary, answered
from facevalue.web.engine_files import EngineName, engine_folder
from facevalue.web.site import MODELS, unpacked_network, write_site

STARTS = 3
WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--ignore-gpu-blocklist")

OPEN = """
const { BrowserEngine } = await import("/static/engines/browser.js");
const engine = new BrowserEngine();
await engine.describe();
const choice = engine.choices.find(({ name, accelerator }) => name === values[0] && accelerator === values[1]);
if (!choice) return null;
const seconds = await engine.open(choice, () => {});
"""
COMPARE = f"{OPEN} const check = await engine.compare(); engine.close(); return {{ ...check, open_seconds: seconds }};"
TIME = f"""{OPEN}
const files = await Promise.all(values[2].map(async (path) => (await fetch(path)).blob()));
for (const file of files.slice(0, 5)) await engine.answer(file, "warm.jpg");
const times = [];
for (const file of files) {{
  const start = performance.now();
  const {{ networkSeconds }} = await engine.answer(file, "a.jpg");
  times.push([(performance.now() - start) / 1000, networkSeconds]);
}}
engine.close();
return times;
"""


def compared(model: Path, site: Path, most: int) -> dict[str, Any]:
    """The page's answers to all drawn files and at most ``most`` test images beside Python's, by engine."""
    predictor = open_folder(model)
    files = [file for file in parity_files() if not file.kind.startswith("tiff")]
    tested = test_images(model, most)
    known = answered(predictor, [*files, *tested])
    engines: list[EngineName] = [name for name in MODELS if unpacked_network(site, name) is not None]
    wide = site.with_name("compared")
    rebuilt(site, wide, predictor, known, engines)
    found: dict[str, Any] = {"drawn": len(files), "test_images": len(tested)}
    found["near_a_limit"] = len(files) + len(tested) - len(known)
    with chromium() as browser, hosting(wide) as url:
        found["chromium"] = browser.capabilities["browserVersion"]
        browser.get(f"{url}/static/icon.svg")
        browser.set_script_timeout(600)
        found["engines"] = {name: run(browser, COMPARE, name, "wasm") for name in engines}
    found["start_seconds"] = start_seconds(site)
    found["webgpu_on_swiftshader"] = on_webgpu(site, predictor, known)
    return found


def test_images(model: Path, most: int) -> list[ParityFile]:
    """The model's own test images, at most ``most``, drawn evenly from the manifest."""
    import pandas as pd

    table = pd.read_parquet(model / "manifest.parquet")
    paths = table[table["split"] == "test"]["path"].tolist()
    chosen = [paths[i * len(paths) // most] for i in range(most)] if len(paths) > most else paths
    return [ParityFile(Path(path).name, "test image", Path(path).read_bytes()) for path in chosen]


def rebuilt(site: Path, target: Path, predictor: Predictor, known: list[Canary], engines: list[EngineName]) -> None:
    """The site with other canaries."""
    target.mkdir()
    networks: dict[EngineName, Path] = {}
    for name in engines:
        networks[name] = target.parent / MODELS[name]
        networks[name].write_bytes(unpacked_network(site, name) or b"")
    numbered = [
        dataclasses.replace(one, file=dataclasses.replace(one.file, name=f"{i}{Path(one.file.name).suffix}"))
        for i, one in enumerate(known)
    ]
    write_site(target, predictor.card, networks, engine_folder(), numbered)


def times(
    site: Path, runs: Mapping[str, Callable[[Pixels], object]], reading: Preprocessing, files: list[bytes], rounds: int
) -> dict[str, Any]:
    """Milliseconds of an image, the median: of the network alone and from file bytes; and their ratios to torch."""
    engines: list[EngineName] = [name for name in MODELS if unpacked_network(site, name) is not None]
    (site / "timed").mkdir()
    for i, file in enumerate(files):
        (site / "timed" / str(i)).write_bytes(file)
    paths = [f"/timed/{i}" for i in range(len(files))]
    network: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}
    with chromium() as browser, hosting(site) as url:
        browser.get(f"{url}/static/icon.svg")
        browser.set_script_timeout(600)
        for runner in runs.values():
            runner(reading.of(files[0])[None])  # warm
        for _ in range(rounds):
            for name, runner in runs.items():
                for file in files:
                    start = time.perf_counter()
                    pixels = reading.of(file)[None]
                    read = time.perf_counter()
                    runner(pixels)
                    end = time.perf_counter()
                    network.setdefault(name, []).append(end - read)
                    whole.setdefault(name, []).append(end - start)
            for engine in engines:
                for total, inside in run(browser, TIME, engine, "wasm", paths):
                    network.setdefault(f"browser {engine}", []).append(inside)
                    whole.setdefault(f"browser {engine}", []).append(total)
    shutil.rmtree(site / "timed")
    return {"images": len(files), "network_alone": _medians(network), "file_to_answer": _medians(whole)}


def _medians(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    found = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    base = found["torch fp32"]
    return {name: {"median": round(value, 2), "of_torch": round(value / base, 2)} for name, value in found.items()}


def ready(browser: webdriver.Chrome, url: str) -> float:
    start = time.perf_counter()
    browser.get(url)
    while (kind := browser.find_element(By.ID, "state").get_attribute("data-kind")) == "wait":
        time.sleep(0.005)
    if kind != "good":
        sys.exit(f"the page says: {browser.find_element(By.ID, 'status').text}")
    return time.perf_counter() - start


def start_seconds(site: Path) -> dict[str, float]:
    """From the address to a page that has checked itself: the first visit, and the next one from the cache."""
    first, next_ = [], []
    for _ in range(STARTS):
        with chromium() as browser, hosting(site) as url:
            first.append(ready(browser, url))
            run(browser, "await navigator.serviceWorker.ready; return true;")
            next_.append(ready(browser, url))
    return {"first_visit": round(statistics.median(first), 2), "next_visit": round(statistics.median(next_), 2)}


def on_webgpu(site: Path, predictor: Predictor, known: list[Canary]) -> dict[str, Any] | None:
    """One image on a graphics card that software plays: whether it is right, not how fast."""
    one = next(canary for canary in known if canary.file.kind == "jpeg 4:2:0")
    target = site.with_name("webgpu")
    network = unpacked_network(site, "litert")
    if network is None:
        return None
    rebuilt(site, target, predictor, [one], ["litert"])
    with chromium(*WEBGPU) as browser, hosting(target) as url:
        browser.get(f"{url}/static/icon.svg")
        browser.set_script_timeout(600)
        try:
            found: dict[str, Any] = run(browser, COMPARE, "litert", "webgpu")
        except AssertionError as error:  # LiteRT.js cannot run every network on WebGPU; the page then uses WASM
            return {"refused": str(error).splitlines()[0]}
        return found
