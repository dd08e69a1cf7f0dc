"""The web app in headless Chromium beside Python: the same answers, time per image, cold start, size.

    python -m benchmarks.browser

Trains three models, exports each to web, and compares in the page's own way: the site's canaries are all drawn files
that browsers can read and the model's test images. Times are of one file after another, in rounds that take turns, with
one thread everywhere. It needs Chromium with its driver, npm once, and for LiteRT ``FACEVALUE_LITERT_PYTHON``.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.web.browsing import chromium, hosting, run

from benchmarks.common import data, keep, mobilenet, train
from facevalue.api.export import export
from facevalue.images.parity import ParityFile, parity_files
from facevalue.runtime import Predictor, open_folder
from facevalue.web.canaries import Canary, answered
from facevalue.web.engine_files import EngineName, engine_folder
from facevalue.web.site import MODELS, unpacked_network, write_site

TIMED = 40
ROUNDS = 3
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


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    grey, own = data("horse-or-human-grey100"), ["--groups", r"stem:^([a-z]+\d+)", "--seed", "0"]
    probe = ["--recipe", "probe", "--network", "mobilenetv2_100", "--weights", mobilenet()]
    models = {
        "human-or-object mobilenetv2": [str(data("human-or-object")), *probe, "--groups", "parent", "--seed", "0"],
        "horse-or-human mobilenetv2": [str(grey), *probe, *own],
        "horse-or-human small-cnn": [str(grey), "--recipe", "horse-or-human/cnn", *own],
    }
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in models.items():
            place = Path(folder) / name.replace(" ", "-")
            figures[name] = {"training": train(place, *arguments)["arguments"], **measured(place, place / "site")}
            print(name, figures[name], flush=True)
    keep("runtimes.browser", {"models": figures})


def measured(model: Path, site: Path) -> dict[str, Any]:
    report = export(model, site, to="web")
    predictor = open_folder(model)
    files = [file for file in parity_files() if not file.kind.startswith("tiff")]
    tested = test_images(model)
    known = answered(predictor, [*files, *tested])
    engines: list[EngineName] = [name for name in MODELS if unpacked_network(site, name) is not None]
    wide = site.with_name("compared")
    rebuilt(site, wide, predictor, known, engines)
    found: dict[str, Any] = {"site_bytes": report.bytes, "drawn": len(files), "test_images": len(tested)}
    found["near_a_limit"] = len(files) + len(tested) - len(known)
    with chromium() as browser, hosting(wide) as url:
        found["version"] = browser.capabilities["browserVersion"]
        browser.get(f"{url}/static/icon.svg")
        browser.set_script_timeout(600)
        found["engines"] = {name: run(browser, COMPARE, name, "wasm") for name in engines}
    found["milliseconds"] = times(site, predictor, tested, engines)
    found["start_seconds"] = start_seconds(site)
    found["webgpu_on_swiftshader"] = on_webgpu(site, predictor, known)
    return found


def test_images(model: Path) -> list[ParityFile]:
    """The model's own test images that can be read, at most 200."""
    import pandas as pd

    table = pd.read_parquet(model / "manifest.parquet")
    paths = table[table["split"] == "test"]["path"].tolist()
    chosen = paths[:: max(1, len(paths) // 200)][:200]
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


def times(site: Path, predictor: Predictor, tested: list[ParityFile], engines: list[EngineName]) -> dict[str, Any]:
    """Milliseconds from file bytes to answer, the median, and of the network alone; and ratios to Python."""
    files = tested[:TIMED]
    (site / "timed").mkdir()
    for i, file in enumerate(files):
        (site / "timed" / f"{i}.jpg").write_bytes(file.data)
    paths = [f"/timed/{i}.jpg" for i in range(len(files))]
    whole: dict[str, list[float]] = {}
    network: dict[str, list[float]] = {}
    with chromium() as browser, hosting(site) as url:
        browser.get(f"{url}/static/icon.svg")
        browser.set_script_timeout(600)
        for _ in range(ROUNDS):
            for name in engines:
                for total, inside in run(browser, TIME, name, "wasm", paths):
                    whole.setdefault(f"browser {name}", []).append(total)
                    network.setdefault(f"browser {name}", []).append(inside)
            for file in files:
                start = time.perf_counter()
                predictor.predict_bytes(file.data)
                whole.setdefault("python onnxruntime", []).append(time.perf_counter() - start)
    shutil.rmtree(site / "timed")
    found = {name: round(1000 * statistics.median(values), 2) for name, values in whole.items()}
    base = found["python onnxruntime"]
    return {
        "file_to_answer": found,
        "network_alone": {name: round(1000 * statistics.median(values), 2) for name, values in network.items()},
        "ratio_to_python": {name: round(value / base, 2) for name, value in found.items()},
        "images": len(files),
        "rounds": ROUNDS,
    }


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
    for _ in range(ROUNDS):
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
        found: dict[str, Any] | None = run(browser, COMPARE, "litert", "webgpu")
        return found


if __name__ == "__main__":
    main()
