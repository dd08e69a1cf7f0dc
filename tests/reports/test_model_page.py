"""The page shows the card's figures, needs no other file, and escapes every name."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from facevalue.errors import ModelFolderError, UsageError
from facevalue.evaluation.figures import figures, metrics
from facevalue.evidence.card import Abstention, DataFacts, ModelCard, NetworkFacts
from facevalue.evidence.findings import DOCS, Finding, finding
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import (
    AttackFigures,
    AttackReport,
    CertificateReport,
    CertifiedAccuracy,
    CorruptionFigures,
    CorruptionReport,
    Evaluation,
    ExportReport,
    NoiseFigures,
    ParityFigures,
    RuntimeReport,
)
from facevalue.evidence.registered import RegisteredPolicy, hash_of
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports.annex import annex
from facevalue.reports.base_rate import script, script_hash
from facevalue.reports.model_page import commands_of, render, strongest, warnings_of, write_report
from facevalue.support.formats import percent

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Text, tags and addresses of a page; tags that do not close in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> set:
        return {attrs["id"] for _, attrs in self.tags if "id" in attrs}


LEAK = finding("leak-across-splits", "the given splits leak", n=2)
RISES = finding("robust-accuracy-rises", "robust accuracy rises with eps")


def evaluation(
    card: ModelCard, split: str, n: int = 200, command: str = "", created: str = "", **changes
) -> Evaluation:
    rng = np.random.default_rng(len(split))
    k = len(card.classes)
    y = np.arange(n) % k
    z = 1.5 * rng.normal(size=(n, k)) + 3 * np.eye(k)[y]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    provenance = Provenance(split=split, n=n, source="images", command=command, created=created)
    return figures(card, y, p, rng.random(n)).changed(provenance=provenance, **changes)


def attacked(classes: tuple[str, ...], warnings: tuple[Finding, ...] = ()) -> AttackReport:
    def one(attack: str, levels: int, right: int) -> AttackFigures:
        return AttackFigures(
            attack=attack,
            norm="linf",
            eps=levels / 255,
            n=100,
            clean_accuracy=0.95,
            robust_accuracy=right / 100,
            robust_ci=metrics.wilson(right, 100),
            robust_accuracy_unrounded=right / 100,
            confusion=((right, 50), (50 - right // 2, 0)),
            mean_distance=levels / 255,
            queries=100,
            seconds=1.0,
        )

    return AttackReport(
        classes=classes,
        clean_confusion=((48, 2), (3, 47)),
        results=(one("fgsm", 8, 37), one("fgsm", 2, 61), one("pgd", 8, 12)),
        noise=(NoiseFigures(norm="linf", eps=8 / 255, n=100, accuracy=0.93, accuracy_ci=metrics.wilson(93, 100)),),
        warnings=warnings,
        provenance=Provenance(
            n=100, command="facevalue attack model images", created="2026-01-02T03:04:05+00:00", seed=0
        ),
    )


def bare(classes: tuple[str, ...] = ("face", "not-face")) -> ModelCard:
    return ModelCard(
        classes=classes,
        preprocessing=Preprocessing(size=64),
        network=NetworkFacts(name="small-resnet", parameters=1226722),
        positive=classes[0] if len(classes) == 2 else None,
    )


@pytest.fixture(scope="module")
def full() -> ModelCard:
    card = bare().changed(
        abstention=Abstention(confidence=0.8, novelty=0.95, target=0.99, n=180),
        temperature=1.2345,
        data=DataFacts(
            counts={s: {"face": 60, "not-face": 70} for s in ("train", "test")},
            groups="parent",
            group_count={"train": 31, "test": 9},
            unreadable=({"path": "face/cut.jpg", "reason": "is truncated"},),
            warnings=(LEAK,),
        ),
        recipe={"name": "scratch", "fit": {"epochs": 15}},
        provenance=Provenance(
            source="images",
            fingerprint="5fa1" * 16,
            n=260,
            versions={"facevalue": "0.1.0", "torch": "2.13.0"},
            command="facevalue train images -o model",
            created="2026-01-02T03:04:05+00:00",
            seed=0,
        ),
    )
    return card.with_evidence(
        evaluation(card, "train"),
        evaluation(card, "test", command="facevalue train images -o model", created=card.provenance.created),
        evaluation(card, "elsewhere", n=40, command="facevalue evaluate model elsewhere"),
        attacked(card.classes, (RISES,)),
        ExportReport(
            target="onnx",
            path="model.onnx",
            bytes=4_900_000,
            provenance=Provenance(n=32),
            label_agreement=1.0,
            max_probability_difference=2e-6,
        ),
    )


HISTORY = [{"epoch": i, "train_loss": 1 / (i + 1), "validation_loss": 1.2 / (i + 1)} for i in range(4)]


@pytest.fixture(scope="module")
def page(full) -> Page:
    return Page(render(full, HISTORY))


def test_runtimes_are_a_table_with_a_verdict_and_what_was_left_out(full) -> None:
    shared = {"n": 40, "drawn": 225, "accuracy": 0.95, "processor": "Some CPU (avx2)"}
    good = ParityFigures(
        target="onnx", bytes=9_500_000, runtime_accuracy=0.95, engine={"onnxruntime": "1.32"}, **shared
    )
    bad = good.changed(
        target="litert",
        precision="int8",
        labels_changed=3,
        answers_changed=5,
        problem="it loses accuracy",
        label_agreement=0.9,
    )
    report = RuntimeReport(
        provenance=Provenance(n=40, split="test"), runtimes=(good, bad), left_out={"hf fp32": "it is not timm's"}
    )
    assert not report.passed
    text = Page(render(full.with_evidence(report))).text
    for words in (
        "runtimes on test",
        "40 labelled images and 225 drawn files",
        "onnx fp32 may be used 100.0 % 0 0 95.0 % 0 9.5 onnxruntime 1.32",
        "litert int8 it loses accuracy 90.0 % 5 0 95.0 % 0 9.5 onnxruntime 1.32",
        "Some CPU (avx2)",
        "Not measured: hf fp32: it is not timm's",
    ):
        assert words in text, words


def test_headline(page, full):
    test = full.evaluation("test")
    low, high = test.accuracy_ci
    assert "face or not-face?" in page.text
    assert f"accuracy on test {100 * test.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)" in page.text
    assert f"accuracy when answering {100 * test.accuracy_answered:.1f} %" in page.text
    assert f"answered {100 * test.coverage:.1f} % {test.abstained} abstained" in page.text
    assert f"calibration error (ECE) {100 * test.ece:.1f} %" in page.text


def test_says_when_it_abstains(page, full):
    test = full.evaluation("test")
    assert "probability of its prediction is below 80.0 % ( uncertain )" in page.text
    assert "is above 0.95 ( novel )" in page.text
    assert f"It abstained on {test.abstained} of {test.n} test images" in page.text


def test_every_evaluation_has_a_row(page, full):
    for report in full.evidence:
        if isinstance(report, Evaluation):
            assert f"{report.split} {report.n} {100 * report.accuracy:.1f} %" in page.text
            assert f"{report.brier:.4f}" in page.text
            assert f"{report.nll:.4f}" in page.text
            assert f"{report.auroc:.4f}" in page.text


def test_test_and_outside_images_are_shown_in_full_the_others_are_not(page, full):
    assert "On test" in page.text
    assert "On elsewhere" in page.text
    assert "On train" not in page.text
    confusion = full.evaluation("test").confusion
    for row in confusion:
        for count in row:
            assert f" {count} {100 * count / sum(row):.1f} %" in page.text


def test_figures_are_drawn(page):
    labels = [attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg"]
    assert labels == [
        "Reliability diagram on test",
        "Error among answers by coverage on test",
        "Reliability diagram on elsewhere",
        "Error among answers by coverage on elsewhere",
        "Loss and accuracy during training",
        "Accuracy against eps",
    ]


def test_attacks_exports_data_and_model(page):
    for words in (
        "fgsm linf 2/255 100 95.0 % 61.0 %",
        "pgd linf 8/255 100 95.0 % 12.0 %",
        "onnx model.onnx fp32 4.9 32 0 100.0 % 0 2e-06",
        "face/cut.jpg is truncated",
        "train 60 70 130 31",
        "5fa1" * 16,
        "1,226,722 parameters",
        "fit.epochs 15",
        "torch 2.13.0",
        "facevalue evaluate model elsewhere",
        "Expected calibration error",
    ):
        assert words in page.text, words


def test_the_noise_control_and_the_successful_part_stand_beside_the_attacks(page, full):
    assert "random noise the control linf 8/255 100 93.0 % 86.3 to 96.6 %" in page.text
    report = attacked(full.classes)
    suite = report.results[2].changed(attack="suite", found_by={"apgd-ce": 81, "square": 2}, target="face")
    shown = report.changed(results=(suite.changed(target_rate=0.5),))
    text = Page(render(full.changed(evidence=(shown,)))).text
    assert "suite to face: 50.0 % changed by apgd-ce 81, square 2 linf 8/255" in text


def test_warnings_come_first(page):
    order = [
        page.text.index(words)
        for words in ("Read this first", "the given splits leak", "robust accuracy rises with eps", "What it does")
    ]
    assert order == sorted(order)


def test_links_inside_the_page_lead_somewhere(page):
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {f"{DOCS}#{code}" for code in ("leak-across-splits", "robust-accuracy-rises")} <= links
    targets = {link.removeprefix("#") for link in links if not link.startswith(DOCS)}
    assert targets
    assert targets <= page.ids


def test_nothing_is_asked_of_the_network_and_only_the_base_rates_are_computed(full, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    full.save(tmp_path)
    text = write_report(tmp_path, tmp_path / "report.html", gallery=[(tmp_path / "a.png", "an image")]).read_text(
        encoding="utf-8"
    )
    found = Page(text)
    assert text.count("<script") == 1 == text.count(f"<script>{script()}</script>")
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{script_hash()}'" in text
    for tag, attrs in found.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if (tag, name) == ("a", "href") and value.startswith(f"{DOCS}#"):
                continue  # where a reader may go, and nothing that a browser fetches by itself
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert value.startswith(("#", "data:image/png;base64,")), (tag, value)
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!#)|@import", text)


EVIL = '<script>alert("x")</script>'
TOLD = finding("unclassified", EVIL)


def test_names_are_text():
    """Classes, paths, commands, warnings, splits: whatever came from outside."""
    card = bare((EVIL, "b&<i>")).changed(
        data=DataFacts(
            groups=EVIL,
            warnings=(TOLD,),
            unreadable=({"path": EVIL, "reason": EVIL},),
            counts={"test": {EVIL: 3}},
        ),
        recipe={EVIL: EVIL},
        provenance=Provenance(
            source=EVIL, fingerprint=EVIL, versions={EVIL: EVIL}, command=EVIL, created='"><script>', seed=0
        ),
    )
    card = card.with_evidence(
        evaluation(card, "test", warnings=(TOLD,)),
        evaluation(card, EVIL, command=EVIL),
        attacked(card.classes, (TOLD,)).changed(provenance=Provenance(n=1, source=EVIL, command=EVIL)),
        ExportReport(
            target=EVIL,
            path=EVIL,
            bytes=1,
            provenance=Provenance(n=1),
            label_agreement=1,
            max_probability_difference=0,
        ),
    )
    text = render(card, HISTORY, [("data:image/png;base64,", f'" onload="{EVIL}')])
    assert text.count("<script") == text.count(f"<script>{script()}</script>") == 1  # no other one
    text = text.replace(f"<script>{script()}</script>", "")
    found = Page(text)
    assert {"script", "i>"}.isdisjoint(tag for tag, _ in found.tags)
    assert not any(name.startswith("on") for _, attrs in found.tags for name in attrs)
    assert EVIL in found.text


def test_a_bare_card_has_a_page_without_empty_sections():
    found = Page(render(bare()))
    assert found.ids == {"warnings", "summary", "evidence", "data", "model", "glossary"}
    assert "no evaluation on a test split" in found.text
    assert "It never abstains" in found.text
    assert "svg" not in {tag for tag, _ in found.tags}


def test_more_than_two_classes():
    card = bare(("cat", "dog", "horse"))
    found = Page(render(card.with_evidence(evaluation(card, "test"))))
    assert "cat , dog or horse . It predicts the class with the highest probability." in found.text


def test_a_class_that_the_data_lacks():
    card = bare()
    y = np.zeros(30, int)
    p = np.tile([0.9, 0.1], (30, 1))
    report = figures(card, y, p, np.zeros(30)).changed(provenance=Provenance(split="test", n=30))
    assert report.auroc is None
    found = Page(render(card.with_evidence(report)))
    assert "no image of 'not-face'" in found.text
    assert "not-face 0 – 0 –" in found.text


def test_written_into_the_folder_whole_and_the_same_each_time(full, tmp_path):
    full.save(tmp_path)
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, HISTORY)) + "\n")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (2000, 100), "red").save(tmp_path / "images" / "wide.png")
    first = write_report(tmp_path, tmp_path / "report.html")
    assert first == tmp_path / "report.html"
    text = first.read_bytes()
    assert write_report(tmp_path, tmp_path / "elsewhere" / "page.html").read_bytes() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "card.json",
        "elsewhere",
        "history.jsonl",
        "images",
        "report.html",
    ]
    found = Page(text.decode())
    assert "images" in found.ids
    assert "4 epochs" in found.text


def test_a_probe_s_history_is_labelled_by_strength(full):
    lines = [{"epoch": i, "strength": 10.0**i, "validation_loss": 0.1} for i in range(3)]
    assert "3 strengths tried" in Page(render(full, lines)).text


def test_bad_folders_and_images(full, tmp_path):
    with pytest.raises(ModelFolderError, match="it does not exist"):
        write_report(tmp_path / "none", tmp_path / "report.html")
    full.save(tmp_path)
    (tmp_path / "history.jsonl").write_text('{"epoch": 0}\n{"epo')
    with pytest.raises(ModelFolderError, match=r"history\.jsonl is damaged"):
        write_report(tmp_path, tmp_path / "report.html")
    (tmp_path / "history.jsonl").write_text("3\n")
    with pytest.raises(ModelFolderError, match="a line is not an object"):
        write_report(tmp_path, tmp_path / "report.html")
    (tmp_path / "history.jsonl").unlink()
    with pytest.raises(UsageError, match=r"the gallery's .*none\.png cannot be read"):
        write_report(tmp_path, tmp_path / "report.html", gallery=[(tmp_path / "none.png", "")])
    assert not (tmp_path / "report.html").exists()


def test_warnings_are_gathered_once_with_where_they_come_from(full):
    card = full.with_evidence(attacked(full.classes, (RISES,)))
    found = warnings_of(card)
    assert found.count(("attack with fgsm, pgd", RISES)) == 1
    assert found[0] == ("data", LEAK)
    unreadable = finding("unreadable-files", "1 file could not be read and was left out; listed under Data", n=1)
    assert ("data", unreadable) in found


def test_each_command_is_shown_once(full):
    assert commands_of(full) == [
        ("the model, evaluation on test", full.provenance.created, "facevalue train images -o model"),
        ("evaluation on elsewhere", "", "facevalue evaluate model elsewhere"),
        ("attack with fgsm, pgd", "2026-01-02T03:04:05+00:00", "facevalue attack model images"),
    ]


def test_a_command_with_several_results_is_shown_once(full):
    made = full.provenance
    later = evaluation(full, "validation", command=made.command, created="2026-01-02T03:04:06+00:00")
    found = commands_of(full.with_evidence(later))
    assert found[0] == ("the model, evaluation on test, evaluation on validation", made.created, made.command)
    assert [command for _, _, command in found].count(made.command) == 1


def test_strongest_is_the_largest_eps_of_each_attack(full):
    [report] = full.of_kind(AttackReport)
    assert [(f.attack, round(255 * f.eps)) for f in strongest(report)] == [("fgsm", 8), ("pgd", 8)]


def test_corruptions_and_certificates_are_described_in_plain_words() -> None:
    corruption = CorruptionReport(
        provenance=Provenance(split="test", n=40, command="facevalue evaluate m d --corruptions"),
        classes=("a", "b"),
        clean_accuracy=0.95,
        clean_ci=(0.84, 0.99),
        mean_accuracy=0.7,
        results=tuple(
            CorruptionFigures(
                corruption=name, strength=s, unit="quality", n=40, accuracy=a, accuracy_ci=(a - 0.1, a + 0.04)
            )
            for name in ("jpeg", "blur")
            for s, a in ((90.0, 0.9), (10.0, 0.5))
        ),
        warnings=(finding("fragile-to-corruption", "even mild jpeg hurts"),),
    )
    proven = CertificateReport(
        provenance=Provenance(split="test", n=20, command="facevalue evaluate m d --certify"),
        classes=("a", "b"),
        sigma=0.25,
        alpha=0.001,
        n0=100,
        samples=1000,
        base_accuracy=0.9,
        abstained=2,
        mean_radius=0.31,
        curve=tuple(
            CertifiedAccuracy(radius=r, accuracy=a, accuracy_ci=(a - 0.1, 1.0)) for r, a in ((0, 0.8), (0.6, 0.3))
        ),
    )
    card = ModelCard(classes=("a", "b"), preprocessing=Preprocessing(), network=NetworkFacts(name="n")).with_evidence(
        corruption, proven
    )
    page = render(card)
    for told in (
        "Everyday corruptions",
        "the mean over all corruptions and strengths is 70.0 %",
        "Accuracy under everyday corruptions on test",
        "even mild jpeg hurts",
        "Certified accuracy against the L2 radius",
        "100 + 1,000",
        "certificate on test",
        "everyday corruptions on test",
    ):
        assert told in page, told


def test_a_registered_policy_is_shown_with_what_was_measured(full):
    required = {"accuracy_lower": 0.01, "coverage": 1.0}
    text = "[require]\naccuracy_lower = 0.01\ncoverage = 1.0\n"
    policy = RegisteredPolicy(sha256=hash_of(required), registered="2026-11-27T08:00:00+00:00", text=text)
    found = Page(render(full.changed(policy=policy)))
    assert "policy" in found.ids
    assert "registered at 2026-11-27T08:00:00+00:00 , before the test figures were computed" in found.text
    assert "coverage no at least 1" in found.text
    assert "policy" not in Page(render(full)).ids


def test_what_the_model_is_for_is_said_or_said_to_be_missing(full):
    purpose = {"intended": "Tells cats from dogs.", "not_for": ["lions", "wolves"]}
    found = Page(render(full.changed(recipe={"purpose": purpose})))
    assert "For: Tells cats from dogs." in found.text
    assert "Not for: lions; wolves." in found.text
    assert "did not say what it is for" in Page(render(full.changed(recipe={}))).text


def test_the_annex_says_where_each_clause_is_and_what_is_missing(full):
    rows = {clause.number: clause for clause in annex(full)}
    assert not rows["6.2"].missing
    assert "always answering" in rows["5.3.13"].found
    test = full.evaluation("test")
    counts = [sum(row) for row in test.confusion]
    assert percent(max(counts) / sum(counts)) in rows["5.3.13"].found
    assert {number for number, clause in {c.number: c for c in annex(bare())}.items() if clause.missing} >= {
        "5.2",
        "6.2",
    }
    assert "annex" in Page(render(full)).ids
