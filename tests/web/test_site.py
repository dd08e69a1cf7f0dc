"""The site in a browser: answers as Python's, offline, bad input, what it says where it cannot answer."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.images.parity import parity_files
from facevalue.runtime import Predictor, open_folder
from facevalue.web import engine_files
from facevalue.web.canaries import KINDS, answered, canaries
from facevalue.web.site import SITE, write_site

from ..serve.conftest import until
from . import tiny_networks
from .browsing import NEEDED, chromium, complaints, hosting, run, text
from .test_reading import png_claiming

pytestmark = NEEDED

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def predictor(tiny: Path) -> Predictor:
    return open_folder(tiny)


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """What the host of the site was asked for."""
    return []


@pytest.fixture(scope="module")
def hosted(site: Path, asked: list[str]) -> Iterator[str]:
    with hosting(site, asked) as url:
        yield url


@pytest.fixture
def page(browser: webdriver.Chrome, hosted: str) -> webdriver.Chrome:
    """The site, ready to answer, without results."""
    if browser.current_url != f"{hosted}/":
        assert opened(browser, hosted) == "good"
    clear = "document.getElementById('clear').click(); document.getElementById('engine').open = false;"
    browser.execute_script(clear)  # type: ignore[no-untyped-call]
    return browser


def opened(browser: webdriver.Chrome, url: str) -> str:
    """Open a site, and wait until it knows whether it can answer; returns the kind of its state."""
    browser.get(url)
    until(lambda: browser.find_element(By.ID, "state").get_attribute("data-kind") != "wait", 30)
    return str(browser.find_element(By.ID, "state").get_attribute("data-kind"))


def picked(browser: webdriver.Chrome, *paths: Path) -> list[WebElement]:
    """Choose files, and wait for their results; the newest batch is first."""
    before = len(browser.find_elements(By.TAG_NAME, "article"))
    browser.find_element(By.ID, "pick").send_keys("\n".join(map(str, paths)))
    return articles(browser, before + len(paths))[: len(paths)]


def articles(browser: webdriver.Chrome, n: int) -> list[WebElement]:
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "article:not(.waiting)")) == n)
    return browser.find_elements(By.TAG_NAME, "article")


def of(article: WebElement, selector: str) -> str:
    return str(article.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent"))


def percent(p: float) -> str:
    if 0.999 < p < 1 or 0 < p < 0.001:
        return "> 99.9 %" if p > 0.5 else "< 0.1 %"
    return f"{100 * p:.1f} %"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Drawn files: clearly warm, clearly cold, between, and unlike the centre."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for name, colour in {
        "warm": (150, 120, 90),
        "cold": (90, 120, 150),
        "between": (123, 127, 131),
        "far": (255, 0, 0),
    }.items():
        pixels = np.clip(np.array(colour) + rng.normal(0, 20 if name != "far" else 0, (60, 80, 3)), 0, 255)
        paths.append(folder / f"{name}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


@pytest.mark.parametrize("engine", ["LiteRT", "ONNX Runtime"])
def test_answers_are_python_s(engine: str, page: webdriver.Chrome, images: list[Path], predictor: Predictor) -> None:
    assert text(page, "#status") == f"Checked: {len(KINDS)} test images get the same answers here as in Python."
    page.find_element(By.CSS_SELECTOR, "#engine summary").click()
    Select(page.find_element(By.ID, "engine-choice")).select_by_visible_text(f"{engine} on the processor")
    until(lambda: page.find_element(By.ID, "state").get_attribute("data-kind") == "good")
    expected = predictor.predict(images)
    assert [one.label for one in expected] == ["warm", "cold", None, None]
    for article, prediction in zip(picked(page, *images), expected, strict=True):
        assert of(article, "h3") == (prediction.label or "I don’t know")
        shown = dict(
            zip(
                [e.text for e in article.find_elements(By.TAG_NAME, "dt")],
                [e.text for e in article.find_elements(By.CLASS_NAME, "percent")],
                strict=True,
            )
        )
        assert shown == {label: percent(p) for label, p in prediction.probabilities.items()}
        assert ("not sure enough" in of(article, ".why")) == ("uncertain" in prediction.reasons)
        assert ("unlike those the model learned from" in of(article, ".why")) == ("novel" in prediction.reasons)
        assert not article.find_element(By.CLASS_NAME, "unchecked").is_displayed()
    assert text(page, "h1") == "Warm or cold?"
    assert text(page, "#summary") == "4 images: 2 without an answer, 1 cold, 1 warm"
    assert complaints(page) == []


COMPARE = """
const { BrowserEngine } = await import("/static/engines/browser.js");
const engine = new BrowserEngine();
await engine.describe();
const found = {};
for (const choice of engine.choices) {
  await engine.open(choice, () => {});
  found[choice.name] = await engine.compare();
}
engine.close();
return found;
"""


@pytest.mark.slow
def test_inputs_and_answers_of_all_drawn_files_are_python_s(
    tiny: Path, engines: Path, predictor: Predictor, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    networks: dict[engine_files.EngineName, Path] = {
        "litert": tiny / "model.tflite",
        "onnxruntime": tiny / "model.onnx",
    }
    readable = [file for file in parity_files() if not file.kind.startswith("tiff")]
    known = answered(predictor, readable)
    assert len(known) >= 200
    write_site(tmp_path, predictor.card, networks, engines, known)
    with hosting(tmp_path) as url:
        browser.get(f"{url}/static/icon.svg")
        for check in run(browser, COMPARE).values():
            assert (check["n"], check["inputs"], check["answers"], check["unread"]) == (len(known), [], [], [])
            assert check["most"] <= 1e-4


def test_nothing_else_is_asked_for(page: webdriver.Chrome, images: list[Path], asked: list[str], site: Path) -> None:
    picked(page, *images)
    until(lambda: bool(run(page, "return Boolean((await navigator.serviceWorker.ready).active)")))
    names = {path.removeprefix("/") or "index.html" for path in asked}
    assert {name for name in names if not (site / name).is_file()} <= {"index.html"}
    text_of_site = "".join(path.read_text("utf-8") for path in site.rglob("*") if path.suffix in (".html", ".css"))
    assert "http" not in re.sub(r"http-equiv|http\.server", "", text_of_site)


def test_a_static_space_below_25_megabytes(site: Path) -> None:
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    # The rest is for a MobileNetV2 in two formats, even where all its weights are random.
    assert size < 25e6 - 2 * 8.5e6
    head = (site / "README.md").read_text("utf-8").split("---")[1]
    assert "sdk: static\napp_file: index.html" in head
    assert "Apache License" in (site / "engine" / "LICENCES.txt").read_text("utf-8")


def test_it_answers_without_a_network_after_the_first_visit(
    site: Path, browser: webdriver.Chrome, images: list[Path]
) -> None:
    with hosting(site) as url:
        opened(browser, url)
        until(lambda: bool(run(browser, "return Boolean((await navigator.serviceWorker.ready).active)")), 30)
    with pytest.raises(OSError, match="refused"):
        hosting_is_over(url)
    assert opened(browser, url) == "good"
    (article,) = picked(browser, images[0])
    assert of(article, "h3") == "warm"


def hosting_is_over(url: str) -> None:
    socket.create_connection(("127.0.0.1", urlparse(url).port or 0)).close()


@pytest.mark.slow
def test_where_litert_cannot_load_the_network_onnx_runtime_answers(
    build: Build, browser: webdriver.Chrome, tiny: Path, tmp_path: Path, images: list[Path]
) -> None:
    (tmp_path / "bad.tflite").write_bytes((tiny / "model.tflite").read_bytes()[:300])
    both = {"litert": tmp_path / "bad.tflite", "onnxruntime": tiny / "model.onnx"}
    with hosting(build(both)) as url:
        assert opened(browser, url) == "good"
        note = browser.find_element(By.ID, "engine-note").get_attribute("textContent")
        assert "LiteRT on the processor cannot run here" in str(note)
        (article,) = picked(browser, images[1])
        assert of(article, "h3") == "cold"


@pytest.mark.slow
def test_a_network_that_answers_otherwise_is_not_used(
    build: Build, browser: webdriver.Chrome, tiny: Path, tmp_path: Path, images: list[Path]
) -> None:
    tiny_networks.write_tflite(tmp_path / "other.tflite", bias=np.array([-0.5, 0.5]))
    both = {"litert": tmp_path / "other.tflite", "onnxruntime": tiny / "model.onnx"}
    with hosting(build(both)) as url:
        assert opened(browser, url) == "good"
        chosen = "return document.getElementById('engine-choice').selectedOptions[0].text"
        assert browser.execute_script(chosen).startswith("ONNX")  # type: ignore[no-untyped-call]
        note = browser.find_element(By.ID, "engine-note").get_attribute("textContent")
        assert "LiteRT on the processor cannot run here" in str(note)
        (article,) = picked(browser, images[1])
        assert of(article, "h3") == "cold"
    with hosting(build({"litert": tmp_path / "other.tflite"})) as url:
        assert opened(browser, url) == "bad"
        assert "gives other answers than Python" in text(browser, "#status")
        assert not browser.find_element(By.ID, "pick").is_enabled()


def test_a_browser_that_reads_otherwise_is_said_to(build: Build, browser: webdriver.Chrome, images: list[Path]) -> None:
    """As one that adds noise to images: the expected network inputs are changed instead."""
    folder = build()
    plain = json.loads((folder / SITE).read_text("utf-8"))
    plain["canaries"][0]["input"] ^= 1
    (folder / SITE).write_text(json.dumps(plain), encoding="utf-8")
    with hosting(folder) as url:
        assert opened(browser, url) == "doubt"
        assert "reads jpeg 4:2:2 in another way" in text(browser, "#status")
        (article,) = picked(browser, images[0])
        assert article.find_element(By.CLASS_NAME, "unchecked").is_displayed()


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("model/model.tflite.gz", lambda path: path.write_bytes(path.read_bytes()[:-200])),
        pytest.param("model/model.tflite.gz", lambda path: path.unlink(), marks=pytest.mark.slow),
        pytest.param(
            "engine/litert/litert_wasm_internal.wasm.gz",
            lambda path: path.write_bytes(b"no WebAssembly"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_file_of_the_site_that_does_not_load(
    name: str, spoil: Callable[[Path], object], build: Build, browser: webdriver.Chrome, tiny: Path
) -> None:
    folder = build({"litert": tiny / "model.tflite"})
    spoil(folder / name)
    with hosting(folder) as url:
        assert opened(browser, url) == "bad"
        assert f"The file {name} of this site cannot be loaded" in text(browser, "#status")


@pytest.mark.slow
def test_a_browser_without_webassembly(site: Path) -> None:
    with chromium("--disable-gpu", "--js-flags=--jitless") as browser, hosting(site) as url:
        assert opened(browser, url) == "bad"
        assert text(browser, "#status").startswith("This browser has no WebAssembly")
        assert complaints(browser) == []


@pytest.mark.slow
def test_every_limit_of_the_model_is_told(
    tiny: Path, engines: Path, browser: webdriver.Chrome, images: list[Path], tmp_path: Path
) -> None:
    card = ModelCard.load(tiny).changed(abstention=Abstention(confidence=0.6, novelty=20.0, source=2.0, upper=0.999))
    network = tiny / "model.onnx"
    write_site(tmp_path, card, {"onnxruntime": network}, engines, canaries(Predictor(card, network)))
    with hosting(tmp_path) as url:
        assert opened(browser, url) == "good"
        assert (
            "below 99.9 % sure of “warm”; below 60.0 % sure of “cold”; images unlike its training data; "
            "images from a source that it does not know"
        ) in text(browser, "#model-facts")
        warm, far = picked(browser, images[0], images[3])
        assert re.search(r"it answers from 99\.9 %, and here it is at 9\d\.\d %", of(warm, ".why"))
        assert "The image comes from a source that the model does not know." in of(far, ".why")


def test_bad_files_get_one_clear_line_each(page: webdriver.Chrome, images: list[Path], tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as stream:
        stream.truncate(100_000_000)
    files = {
        "<b>text.jpg": (b"no image", "The file is not an image in a known format."),
        "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "Browsers cannot read HEIC images as Python does."),
        "huge.png": (png_claiming(20_000, 20_000), "has 20,000 x 20,000 pixels, more than the 89,478,485 allowed."),
        "empty.png": (b"", "The file is empty."),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    shown = picked(page, large, *(tmp_path / name for name in files), images[0])
    for article, reason in zip(
        shown,
        ["The file has 95 MB; this page reads files of up to 64 MB.", *(r for _, r in files.values())],
        strict=False,
    ):
        assert of(article, "h3") == "No prediction"
        assert reason in of(article, ".why")
        assert "\n" not in of(article, ".why")
    assert of(shown[1], "figcaption") == "<b>text.jpg"  # text, not markup
    assert of(shown[-1], "h3") == "warm"
    assert complaints(page) == []


def test_by_keyboard_alone_and_with_names_for_screen_readers(page: webdriver.Chrome, images: list[Path]) -> None:
    opened(page, page.current_url)  # the focus is nowhere yet
    picked(page, images[0], images[1])
    reached = []
    for _ in range(20):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        focused = page.switch_to.active_element
        reached.append(str(focused.get_attribute("id") or focused.tag_name))
        assert focused.accessible_name or focused.tag_name == "body", reached[-1]
        outline = focused.value_of_css_property("outline-style")
        label = page.execute_script(  # type: ignore[no-untyped-call]
            "return getComputedStyle(document.activeElement.nextElementSibling ?? document.body).outlineStyle"
        )
        assert outline != "none" or label != "none", f"{reached[-1]} does not show that it has the focus"
        if "save-json" in reached:
            break
    order = ["pick", "camera", "heat-on", "heat-strength", "filter", "save-csv", "save-json"]
    assert [name for name in reached if name in order] == order
    for element in page.find_elements(By.CSS_SELECTOR, "input, button, select, progress, section, img"):
        if element.is_displayed():
            named = element.accessible_name or element.get_attribute("alt") == ""
            assert named, element.get_attribute("outerHTML")
    until(lambda: text(page, "#news").startswith("cold.png: cold"))


def test_hundreds_of_files_with_progress_and_cancel(page: webdriver.Chrome, images: list[Path], tmp_path: Path) -> None:
    paths = [shutil.copy(images[i % 2], tmp_path / f"{i:03d}.png") for i in range(300)]
    page.find_element(By.ID, "pick").send_keys("\n".join(map(str, paths)))
    until(lambda: " a second, " in text(page, "#batch-text"))
    assert re.fullmatch(r"[\d,]+ of 300 images, [\d.]+ a second, \d+ s left", text(page, "#batch-text"))
    page.find_element(By.ID, "cancel").click()
    until(lambda: not page.find_element(By.ID, "batch").is_displayed())
    until(lambda: not page.find_elements(By.CSS_SELECTOR, "article.waiting"))
    done = len(page.find_elements(By.TAG_NAME, "article"))
    assert 0 < done < 300
    assert text(page, "#news") == f"Cancelled: {300 - done} images were not judged." or done <= 2
    picked(page, *images)  # and it goes on
    assert text(page, "#summary").startswith(f"{done + 4} images: ")
    Select(page.find_element(By.ID, "filter")).select_by_visible_text("without an answer")
    assert len([a for a in page.find_elements(By.TAG_NAME, "article") if a.is_displayed()]) == 2
    page.find_element(By.ID, "clear").click()
    assert not page.find_elements(By.TAG_NAME, "article")


def test_a_picture_from_the_camera(page: webdriver.Chrome) -> None:
    page.find_element(By.ID, "camera").click()
    until(page.find_element(By.ID, "camera-take").is_enabled)
    page.find_element(By.ID, "camera-take").click()
    (article,) = articles(page, 1)
    assert re.fullmatch(r"camera \d\d-\d\d-\d\d\.png", of(article, "figcaption"))
    assert of(article, "h3") in ("warm", "cold", "I don’t know")
    assert not page.find_element(By.ID, "camera-dialog").is_displayed()


def test_metadata_are_told_beside_the_verdict(page: webdriver.Chrome, tmp_path: Path, images: list[Path]) -> None:
    plain = Image.open(images[0])
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a cat\nSteps: 20")
    plain.save(tmp_path / "a.png", pnginfo=texts)
    exif = Image.Exif()
    exif[0x0131], exif[0x010F], exif[0x0110] = "Editor 5", "Maker", "M1"
    kind = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    xmp = b'<rdf:Description Iptc4xmpExt:DigitalSourceType="' + kind + b'"/>'
    stream = io.BytesIO()
    plain.save(stream, "JPEG", exif=exif, xmp=xmp)
    data = stream.getvalue()
    jumbf = b"JP\0\1\0\0\0\1" + b"\0\0\0\x20jumb...c2pa"
    (tmp_path / "b.jpg").write_bytes(data[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(jumbf)) + jumbf + data[2:])
    first, second, none = picked(page, tmp_path / "a.png", tmp_path / "b.jpg", images[0])
    assert "An image generator’s settings: parameters: a cat Steps: 20" in of(first, ".evidence")
    told = [str(e.get_attribute("textContent")) for e in second.find_elements(By.CSS_SELECTOR, ".evidence li")]
    assert told == [
        "Content Credentials (C2PA): present, not checked here",
        "Source, as the file says: trainedAlgorithmicMedia, which means made by an AI or a computer",
        "Software: Editor 5",
        "Camera, as the file says: Maker M1",
    ]
    assert "not part of the probability" in of(second, ".evidence")
    assert not none.find_element(By.CLASS_NAME, "evidence").is_displayed()


@pytest.mark.slow
def test_heat_is_offered_only_where_there_is_heat(
    build: Build, browser: webdriver.Chrome, page: webdriver.Chrome, images: list[Path]
) -> None:
    picked(page, images[0])
    assert page.find_element(By.ID, "heat-controls").is_displayed()
    with hosting(build(network=NetworkFacts(name="other", pooled=False))) as url:
        opened(browser, url)
        (article,) = picked(browser, images[0])
        assert not browser.find_element(By.ID, "heat-controls").is_displayed()
        assert not article.find_element(By.CLASS_NAME, "heat-note").is_displayed()


SAVE = """
const { csv, json } = await import("/static/saving.js");
return [csv(values[0], values[1]), json(values[0], { engine: "test" })];
"""


def test_results_as_files(page: webdriver.Chrome) -> None:
    prediction = {"path": "x", "label": "=a", "probabilities": {"=a": 0.75, "b": 0.25}, "abstained": False}
    prediction |= {"reasons": [], "leaning": "=a", "threshold": 0.5, "novelty": 0.5, "error": None, "heat": [[1]]}
    evidence = [{"kind": "software", "text": "@SUM(1)"}]
    rows = [
        {
            "name": "=cmd|' /C calc'!A0.png",
            "prediction": prediction,
            "failure": None,
            "evidence": evidence,
            "checked": True,
        },
        {"name": 'b "2",\n.png', "prediction": None, "failure": {"reason": "empty"}, "evidence": [], "checked": False},
    ]
    as_csv, as_json = run(page, SAVE, rows, ["=a", "b"])
    head = "path label probability abstained reasons leaning novelty error p_=a p_b metadata checked".split()
    assert as_csv.startswith("\ufeff" + ",".join(f'"{name}"' for name in head) + "\r\n")
    first, second = csv.DictReader(io.StringIO(as_csv.removeprefix("\ufeff"), newline=""))
    assert first["path"] == "'=cmd|' /C calc'!A0.png"
    assert (first["label"], first["p_=a"], first["checked"]) == ("'=a", "0.7500", "True")
    assert first["metadata"] == "Software: @SUM(1)"
    assert first["probability"] == "0.7500"
    assert (second["path"], second["error"], second["p_b"]) == ('b "2",\n.png', "The file is empty.", "")
    plain = json.loads(as_json)
    assert plain["model"] == {"engine": "test"}
    assert plain["results"][0]["label"] == "=a"
    assert "heat" not in plain["results"][0]
    assert plain["results"][1]["error"] == "The file is empty."
    assert plain["results"][1]["checked"] is False


def test_dropped_and_pasted(page: webdriver.Chrome, images: list[Path]) -> None:
    program = """
    const data = new DataTransfer();
    data.items.add(new File([bytesOf(values[0])], values[1], { type: "image/png" }));
    const event = values[1] === "pasted.png"
      ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
      : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
    """
    data = base64.b64encode(images[0].read_bytes()).decode()
    for i, name in enumerate(("pasted.png", "dropped.png")):
        run(page, program, data, name)
        assert of(articles(page, i + 1)[0], "figcaption") == name
