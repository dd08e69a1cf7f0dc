"""Adversarial training, and evaluation with corruptions and certificates, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facevalue.cli import evaluate, train

from .conftest import Shell


def test_evaluate_writes_corruptions_and_certificate(
    lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["network.options={widths=[4,8]}", "adversarial.validation_steps=1"]
    train.run(lfw, Path("model"), recipe="scratch", size="24", epochs=1, changes=small, adversarial="fast", eps="4/255")
    evaluate.run(
        Path("model"),
        lfw,
        corruptions=True,
        remade=True,
        certify=True,
        sigma=0.1,
        samples=20,
        limit=4,
        plot=Path("curve.png"),
        json=Path("figures.json"),
    )
    told = capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["accuracy"] is not None
    assert (figures["corruptions"]["n"], figures["remade"]["n"], figures["certificate"]["n"]) == (4, 4, 4)
    assert (figures["certificate"]["sigma"], figures["certificate"]["alpha"]) == (0.1, 0.001)
    assert (tmp_path / "curve.png").is_file()
    assert "everyday corruptions, n = 4" in told
    assert "re-made images, n = 4" in told
    page = (tmp_path / "model" / "report.html").read_text()
    assert "messenger-box-x0.5-jpeg-q70-420" in page
    kept = json.loads((tmp_path / "model" / "card.json").read_text())["evidence"]
    assert [e["results"] for e in kept if e["kind"] == "remade"] == [figures["remade"]["results"]]
    assert "randomised smoothing with sigma 0.1" in told
    recipe = json.loads((tmp_path / "model" / "card.json").read_text())["recipe"]["adversarial"]
    assert (recipe["method"], recipe["eps"]) == ("fast", pytest.approx(4 / 255))
    lines = (tmp_path / "model" / "history.jsonl").read_text().splitlines()
    assert "validation_robust_accuracy" in json.loads(lines[-1])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--recipe", "scratch", "--eps", "1/255,2/255", "--adversarial", "pgd"), "expected one number such as 4/255"),
        (("--recipe", "scratch", "--eps", "4", "--adversarial", "pgd"), "expected eps to be above 0 and, for linf"),
        (("--recipe", "scratch", "--eps", "1e400", "--adversarial", "pgd"), "expected numbers such as 2/255 or 0.01"),
        (("--recipe", "scratch", "--eps", "4/255"), "--eps needs adversarial training"),
        (("--recipe", "scratch", "--distill-temperature", "5"), "--distill-temperature needs a teacher"),
    ],
)
def test_wrong_use_is_one_line(shell: Shell, lfw: Path, arguments: tuple[str, ...], told: str) -> None:
    done = shell("train", lfw, "-o", "model", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
