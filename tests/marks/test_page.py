"""The server's page shows what the server found, beside the verdict."""

from __future__ import annotations

from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

from ..runtime.model_folders import write_model
from ..serve.conftest import serving
from ..serve.test_page import articles, browser, complaints, open_page, pytestmark  # noqa: F401 - a fixture, a mark
from .conftest import drawn, exif
from .signing import Authority, manifest


def told(article: object) -> list[str]:
    items = article.find_elements(By.CSS_SELECTOR, ".evidence li")  # type: ignore[attr-defined]
    return [str(item.get_attribute("textContent")) for item in items]


def test_marks_beside_the_verdict(
    browser: webdriver.Chrome,  # noqa: F811 - the fixture
    signer: Authority,
    trust_list: Path,
    tmp_path: Path,
) -> None:
    write_model(tmp_path / "model")
    image = drawn("JPEG", exif=exif(make="Maker", model="X1"))
    signed = signer.sign(image, "image/jpeg", manifest())
    files = {"a.jpg": signed, "b.jpg": signed[:-60] + bytes([signed[-60] ^ 1]) + signed[-59:], "c.png": drawn("PNG")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with serving(tmp_path / "model", trust_list=str(trust_list)) as client:
        open_page(browser, client)
        browser.find_element(By.ID, "pick").send_keys("\n".join(str(tmp_path / name) for name in files))
        first, second, third = articles(browser, 3)
        rest = [
            "Source, as the credentials say: trainedAlgorithmicMedia, which means made by an AI or a computer",
            "Program, as the credentials say: Test program 1.0, Drawer 3",
            "Camera, as the file says: Maker X1",
        ]
        start = "Content Credentials (C2PA)"
        who = "Own signer, Test organisation"
        assert told(first) == [f"{start}: signed by {who}, whom the server’s trust list names; unchanged since", *rest]
        fault = "the file was changed after it was signed, or the certificate is not accepted"
        assert told(second) == [f"{start} do not hold: {fault} (assertion.dataHash.mismatch)", *rest]
        assert not third.find_element(By.CLASS_NAME, "evidence").is_displayed()
        assert first.find_element(By.TAG_NAME, "h3").text  # a verdict as ever
        note = first.find_element(By.CSS_SELECTOR, ".evidence .small").get_attribute("textContent")
        assert "absence says nothing" in str(note)
        assert complaints(browser) == []
