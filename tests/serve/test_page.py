"""The page, driven in a real browser."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from facevalue.evidence.card import Abstention
from facevalue.images.face_crop import square_around
from facevalue.images.preprocessing import Preprocessing

from ..faces.drawn import drawn, write_face_model
from ..runtime.model_folders import write_model
from .conftest import serving, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], arguments[1], {type: "image/png"}));
const kind = arguments[2];
const event = kind === "paste"
  ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
  : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1000,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def open_page(browser: webdriver.Chrome, client: httpx.Client) -> None:
    browser.get(str(client.base_url))
    until(lambda: "…" not in text(browser, "#model-note"))


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def articles(browser: webdriver.Chrome, n: int) -> list[WebElement]:
    """The predictions, once there are ``n`` and none is waited for."""
    until(
        lambda: (
            len(browser.find_elements(By.CSS_SELECTOR, "article:not(.waiting)")) == n
            and not browser.find_elements(By.CSS_SELECTOR, "article.waiting")
        )
    )
    return browser.find_elements(By.CSS_SELECTOR, "article")


def canvas(browser: webdriver.Chrome, article: WebElement) -> np.ndarray:
    """(h, w, 4) what the heat's canvas holds."""
    until(lambda: bool(article.find_element(By.TAG_NAME, "canvas").get_attribute("width") != "300"))
    width, height, values = json.loads(
        browser.execute_script(
            "const c = arguments[0].querySelector('canvas');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
            "return JSON.stringify([c.width, c.height, [...d.data]]);",
            article,
        )
    )
    return np.array(values, np.uint8).reshape(height, width, 4)


def shown_percent(article: WebElement, label: str) -> str:
    names = [e.text for e in article.find_elements(By.TAG_NAME, "dt")]
    return article.find_elements(By.CLASS_NAME, "percent")[names.index(label)].text


def percent(p: float) -> str:
    return f"{100 * p:.1f} %" if 0.001 <= p <= 0.999 else ("> 99.9 %" if p > 0.5 else "< 0.1 %")


def complaints(browser: webdriver.Chrome) -> list[str]:
    """Errors in the browser's console; the status of a refused image does not count."""
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if "status of 4" not in entry["message"]]


def test_picked_files_get_predictions_and_heat(browser: webdriver.Chrome, client: httpx.Client, lfw: Path) -> None:
    open_page(browser, client)
    assert text(browser, "h1") == "Face or not-face?"
    assert "not stored" in text(browser, ".privacy")
    assert "not measured" in text(browser, "#model-facts")
    paths = [lfw / "face" / "face-003.png", lfw / "not-face" / "not-face-004.png"]
    browser.find_element(By.ID, "pick").send_keys("\n".join(map(str, paths)))
    for path, article in zip(paths, articles(browser, 2), strict=True):
        answer = client.post("/predict?heat=true", files={"files": path.read_bytes()}).json()["results"][0]
        assert article.find_element(By.TAG_NAME, "h3").text == answer["label"]
        assert article.find_element(By.TAG_NAME, "figcaption").text == path.name
        for label, p in answer["probabilities"].items():
            assert shown_percent(article, label) == percent(p)
        drawn = canvas(browser, article)
        assert drawn.shape[:2] == (320, 320)
        cells = np.asarray(answer["heat"])
        # The middle of each cell of the map: transparent without evidence for the prediction, opaque with the most.
        step = 320 // len(cells)
        middle = drawn[step // 2 :: step, step // 2 :: step, 3]
        assert middle.shape == cells.shape
        assert np.corrcoef(middle.ravel(), np.minimum(1, 1.1 * cells).ravel())[0, 1] > 0.9
    assert complaints(browser) == []


def test_heat_can_be_hidden_and_weakened(browser: webdriver.Chrome, client: httpx.Client, lfw: Path) -> None:
    open_page(browser, client)
    assert not browser.find_element(By.ID, "controls").is_displayed()
    browser.find_element(By.ID, "pick").send_keys(str(lfw / "face" / "face-003.png"))
    (article,) = articles(browser, 1)
    layer = article.find_element(By.TAG_NAME, "canvas")
    until(layer.is_displayed)
    strength = browser.find_element(By.ID, "heat-strength")
    before = float(layer.value_of_css_property("opacity"))
    strength.send_keys(Keys.ARROW_LEFT * 10)
    assert float(layer.value_of_css_property("opacity")) < before
    toggle = browser.find_element(By.ID, "heat-on")
    toggle.click()
    assert not layer.is_displayed()
    toggle.click()
    assert layer.is_displayed()
    browser.find_element(By.ID, "clear").click()
    assert not browser.find_elements(By.TAG_NAME, "article")


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_dropped_and_pasted(how: str, browser: webdriver.Chrome, client: httpx.Client, lfw: Path) -> None:
    open_page(browser, client)
    data = (lfw / "face" / "face-003.png").read_bytes()
    browser.execute_script(DROP, base64.b64encode(data).decode(), f"{how}.png", how)  # type: ignore[no-untyped-call]
    (article,) = articles(browser, 1)
    expected = client.post("/predict", files={"files": data}).json()["results"][0]
    assert article.find_element(By.TAG_NAME, "h3").text == expected["label"]
    assert article.find_element(By.TAG_NAME, "figcaption").text == f"{how}.png"


def test_a_bad_file_gets_a_reason_and_the_next_a_prediction(
    browser: webdriver.Chrome, client: httpx.Client, lfw: Path, tmp_path: Path
) -> None:
    (tmp_path / "<b>bad.jpg").write_text("no image")
    open_page(browser, client)
    browser.find_element(By.ID, "pick").send_keys(f"{tmp_path / '<b>bad.jpg'}\n{lfw / 'face' / 'face-003.png'}")
    bad, good = articles(browser, 2)
    assert bad.find_element(By.TAG_NAME, "h3").text == "No prediction"
    assert bad.find_element(By.CLASS_NAME, "why").text == "The file is not an image in a known format."
    assert bad.find_element(By.TAG_NAME, "figcaption").text == "<b>bad.jpg"  # text, not markup
    assert good.find_element(By.TAG_NAME, "h3").text in ("face", "not-face")
    assert complaints(browser) == []


def test_abstention_in_plain_words_and_another_model(browser: webdriver.Chrome, own_folder: Path, lfw: Path) -> None:
    """Novel and uncertain; the page shows the new model's card after the folder was replaced."""
    with serving(own_folder) as client:
        open_page(browser, client)
        write_model(own_folder, classes=("cat", "dog", "emu"), abstention=Abstention(confidence=0.9999, novelty=0.001))
        until(lambda: len(client.get("/card").json()["classes"]) == 3)
        browser.find_element(By.ID, "pick").send_keys(str(lfw / "face" / "face-003.png"))
        (article,) = articles(browser, 1)
        assert article.find_element(By.TAG_NAME, "h3").text == "I don’t know"
        why = article.find_element(By.CLASS_NAME, "why").text
        assert "unlike those the model learned from" in why
        assert "not sure enough" in why
        assert "lean to" in why
        assert text(browser, "h1") == "Cat, dog or emu?"


@pytest.mark.parametrize(("fit", "box"), [("crop", (0.25, 0.75)), ("pad", (0.0, 1.0))])
def test_heat_lies_where_the_network_looked(
    fit: str, box: tuple[float, float], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """An image twice as wide as high: cropped, its outer quarters were not seen and stay clear."""
    write_model(tmp_path / "model", preprocessing=Preprocessing(size=32, fit=fit))  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    with serving(tmp_path / "model") as client:
        open_page(browser, client)
        browser.find_element(By.ID, "pick").send_keys(str(tmp_path / "wide.png"))
        (article,) = articles(browser, 1)
        alpha = canvas(browser, article)[..., 3]
    assert alpha.shape == (160, 320)
    left, right = (int(edge * 320) for edge in box)
    assert alpha[:, left:right].any()
    assert not alpha[:, : max(0, left - 2)].any()
    assert not alpha[:, right + 2 :].any()


def test_a_model_of_faces_says_where_the_face_is_or_that_there_is_none(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    write_face_model(tmp_path / "faces")
    drawn((40, 60), size=(320, 160)).save(tmp_path / "one.png")
    drawn(size=(320, 160)).save(tmp_path / "none.png")
    with serving(tmp_path / "faces") as client:
        open_page(browser, client)
        browser.find_element(By.ID, "pick").send_keys("\n".join(str(tmp_path / f"{n}.png") for n in ("one", "none")))
        one, none = articles(browser, 2)
        assert none.find_element(By.CSS_SELECTOR, ".why").text.startswith("No face was found")
        assert not none.find_element(By.CSS_SELECTOR, ".heat-note").is_displayed()
        alpha = canvas(browser, one)[..., 3]
        left, top, right, bottom = square_around((20, 28, 48, 64), 0.3, (320, 160))
        inside = np.zeros(alpha.shape, bool)
        inside[top:bottom, left:right] = True
        assert alpha.shape == (160, 320)
        assert alpha[inside].any()
        assert not alpha[~inside].any()
    assert complaints(browser) == []
