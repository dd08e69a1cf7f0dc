"""Cards checked against policies."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from facevalue.errors import UsageError
from facevalue.evidence.card import Abstention, ModelCard, NetworkFacts
from facevalue.evidence.policy import check_policy
from facevalue.evidence.policy.figures import ATTACK_FIGURES, EXPORT_FIGURES, FIGURES, RUNTIME_FIGURES
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import (
    DISTILLATION,
    AttackFigures,
    AttackReport,
    CalibrationReport,
    CertificateReport,
    CertifiedAccuracy,
    ConditionFigures,
    CorruptionFigures,
    CorruptionReport,
    Evaluation,
    ExportReport,
    ParityFigures,
    PipelineFigures,
    ProbabilityFigures,
    RateGap,
    RemadeReport,
    RuntimeReport,
)
from facevalue.evidence.stated_limits import FalsePositives, StatedError
from facevalue.images.preprocessing import Preprocessing


def evaluation(split: str, **changes) -> Evaluation:
    figures = {
        "provenance": Provenance(split=split, n=400),
        "classes": ("face", "not-face"),
        "accuracy": 0.97,
        "accuracy_ci": (0.95, 0.98),
        "balanced_accuracy": 0.96,
        "balanced_accuracy_ci": (0.94, 0.975),
        "auroc": 0.99,
        "auroc_ci": (0.985, 0.995),
        "average_precision": 0.98,
        "ece": 0.02,
        "ece_ci": (0.01, 0.04),
        "brier": 0.05,
        "nll": 0.11,
        "ece_equal_mass": 0.025,
        "ece_equal_mass_ci": (0.015, 0.045),
        "ece_classwise": 0.021,
        "ece_classwise_ci": (0.011, 0.041),
        "brier_ci": (0.04, 0.06),
        "nll_ci": (0.09, 0.13),
        "aurc": 0.004,
        "e_aurc": 0.002,
        "confusion": ((194, 6), (6, 194)),
        "recall": {"face": 0.98, "not-face": 0.94},
        "recall_ci": {"face": (0.95, 0.99), "not-face": (0.9, 0.97)},
        "abstained": 40,
        "coverage": 0.9,
        "accuracy_answered": 0.99,
        "accuracy_answered_ci": (0.975, 0.997),
        "reasons": {"novel": 4, "uncertain": 38},
        "reliability": (),
    }
    return Evaluation(**{**figures, **changes})


def attacked(attack: str, eps: float, robust: float, norm: str = "linf") -> AttackReport:
    figures = AttackFigures(
        attack=attack,
        norm=norm,
        eps=eps,
        n=100,
        clean_accuracy=0.97,
        robust_accuracy=robust,
        robust_ci=(robust - 0.1, robust + 0.1),
        robust_accuracy_unrounded=robust,
        confusion=((25, 25), (25, 25)),
        mean_distance=eps,
        queries=100,
        seconds=1.0,
    )
    return AttackReport(
        provenance=Provenance(n=100, seed=0),
        classes=("face", "not-face"),
        clean_confusion=((50, 0), (3, 47)),
        results=(figures,),
    )


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        classes=("face", "not-face"),
        preprocessing=Preprocessing(),
        network=NetworkFacts(name="small-resnet"),
        positive="face",
    ).with_evidence(
        evaluation("validation", accuracy=1.0, accuracy_ci=(0.99, 1.0)),
        evaluation("test"),
        attacked("pgd", 2 / 255, 0.8),
        attacked("pgd", 8 / 255, 0.3),
        attacked("pgd", 0.5, 0.6, "l2"),
        ExportReport(
            target="onnx",
            path="model.onnx",
            bytes=9,
            provenance=Provenance(n=32),
            label_agreement=1.0,
            max_probability_difference=1e-6,
        ),
    )


@pytest.fixture
def hold(card, tmp_path):
    def hold(text: str, against: ModelCard = card) -> dict:
        path = tmp_path / "policy.toml"
        path.write_text(text, encoding="utf-8")
        return check_policy(against, path).to_dict()

    return hold


EVALUATION = evaluation("test")


@pytest.mark.parametrize("key", FIGURES)
def test_each_figure_on_its_limit_and_either_side_of_it(key, hold):
    """At the value itself it passes; a hair on the wrong side fails, a hair on the right side passes."""
    value, hair = FIGURES[key].of(EVALUATION), 1e-6
    worse = hair if FIGURES[key].direction == "at least" else -hair
    assert hold(f"[require]\n{key} = {value!r}")["passed"]
    failed = hold(f"[require]\n{key} = {value + worse!r}")
    assert not failed["passed"]
    assert failed["failed"] == [
        {
            "figure": key,
            "direction": FIGURES[key].direction,
            "required": value + worse,
            "got": value,
            "passed": False,
        }
    ]
    assert hold(f"[require]\n{key} = {value - worse!r}")["passed"]


def test_figures_are_read_from_the_right_place(hold):
    """Against the numbers of the card, written out."""
    found = hold(
        "[require]\naccuracy_lower = 0.9\nrecall = 0.5\nrecall_lower = 0.5\nece_upper = 0.5\nauroc_lower = 0.5\n"
        "balanced_accuracy_lower = 0.5\naccuracy_answered_lower = 0.5\ncoverage = 0.5\nnll = 1\nbrier = 1"
    )
    assert found["passed"]
    assert {c["figure"]: c["got"] for c in found["checked"]} == {
        "accuracy_lower": 0.95,
        "recall": 0.94,
        "recall_lower": 0.9,
        "ece_upper": 0.04,
        "auroc_lower": 0.985,
        "balanced_accuracy_lower": 0.94,
        "accuracy_answered_lower": 0.975,
        "coverage": 0.9,
        "nll": 0.11,
        "brier": 0.05,
    }


def test_several_requirements_and_only_the_unmet_are_failed(hold):
    found = hold("[require]\naccuracy_lower = 0.98\nece_upper = 0.05\nn = 1000")
    assert not found["passed"]
    assert [f["figure"] for f in found["failed"]] == ["accuracy_lower", "n"]
    assert [f["figure"] for f in found["checked"]] == ["accuracy_lower", "ece_upper", "n"]


def test_another_split(hold):
    assert hold('[require]\nsplit = "validation"\naccuracy_lower = 0.98')["passed"]
    assert not hold('[require]\nsplit = "test"\naccuracy_lower = 0.98')["passed"]


def test_figures_without_evidence_fail_with_a_reason(hold, card):
    assert (
        hold('[require]\nsplit = "elsewhere"\naccuracy = 0.1')["failed"][0]["reason"] == "no evaluation on 'elsewhere'"
    )
    mute = card.changed(evidence=(evaluation("test", auroc=None, auroc_ci=None),))
    failed = hold("[require]\nauroc = 0.1\nauroc_lower = 0.1", mute)["failed"]
    assert [f["reason"] for f in failed] == [
        "the evaluation on 'test' has no auroc",
        "the evaluation on 'test' has no auroc_lower",
    ]
    assert all(f["got"] is None for f in failed)


def test_the_latest_evaluation_counts(hold, card):
    newer = card.with_evidence(evaluation("test", accuracy=0.5))
    assert not hold("[require]\naccuracy = 0.9", newer)["passed"]


@pytest.mark.parametrize(
    ("table", "got"),
    [
        ("eps = 0.00784\nrobust = 0.5", 0.8),
        ('eps = "2/255"\nrobust = 0.5', 0.8),
        ("eps = 0.0157\nrobust = 0.1", 0.3),  # nothing at 4/255: the next stronger, 8/255
        ("eps = 0\nrobust = 0.1", 0.8),
        ('norm = "l2"\neps = 0.5\nrobust_lower = 0.4', 0.5),
        ("eps = 0.03\nrobust_lower = 0.1", 0.2),
        ("eps = 0.03\nn = 100", 100),
    ],
)
def test_attacks(table, got, hold):
    found = hold(f"[require.attack.pgd]\n{table}")
    assert found["passed"]
    assert found["checked"][0]["got"] == pytest.approx(got)


def test_the_latest_attack_counts(hold, card):
    policy = '[require.attack.pgd]\neps = "2/255"\nrobust = 0.5'
    newer = card.with_evidence(attacked("pgd", 2 / 255, 0.1))
    assert hold(policy, newer)["checked"][0]["got"] == pytest.approx(0.1)
    assert hold(policy, newer.with_evidence(attacked("pgd", 2 / 255, 0.9)))["checked"][0]["got"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "changes",
    [{"defense": "jpeg"}, {"defense": DISTILLATION, "adaptive": False}, {"target": "face"}],
    ids=["input defence", "blind", "targeted"],
)
def test_an_attack_that_is_not_on_the_model_itself_is_no_evidence(hold, card, changes):
    report = attacked("bim", 8 / 255, 0.9)
    (figures,) = report.results
    spared = msgspec.structs.replace(report, results=(msgspec.structs.replace(figures, **changes),))
    policy = '[require.attack.bim]\neps = "8/255"\nrobust = 0.0'
    assert hold(policy, card.with_evidence(report))["passed"]
    assert hold(policy, card.with_evidence(spared))["checked"][0]["got"] is None


def test_an_attack_at_a_smaller_eps_is_no_evidence(hold):
    found = hold('[require.attack.pgd]\neps = "16/255"\nrobust = 0.0')
    assert found["failed"][0]["reason"] == "no pgd with linf at eps 16/255 or above on the card"
    assert not hold('[require.attack.square]\neps = "1/255"\nrobust = 0.0')["passed"]
    assert not hold('[require.attack.pgd]\nnorm = "l2"\neps = 1.0\nrobust = 0.0')["passed"]


def test_exports(hold):
    assert hold("[require.export.onnx]\nlabel_agreement = 1.0\nmax_probability_difference = 1e-4\nn = 32")["passed"]
    failed = hold("[require.export.onnx]\nmax_probability_difference = 1e-7\n[require.export.litert]\nn = 1")["failed"]
    assert [(f["figure"], f["direction"]) for f in failed] == [
        ("export.onnx.max_probability_difference", "at most"),
        ("export.litert.n", "at least"),
    ]
    assert failed[1]["reason"] == "no export to litert on the card"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[require]\naccuracy_upper = 1",
            r"no key 'accuracy_upper'; the keys are: split, n, accuracy, accuracy_lower.*export",
        ),
        (
            "[require.attack.pgd]\neps = 0.1\nstrength = 3",
            r"no key 'attack\.pgd\.strength'; the keys are: norm, eps, n, robust",
        ),
        ("[require.attack.pgd]\nrobust = 0.1", r"\[require\.attack\.pgd\] needs eps and a figure"),
        ("[require.attack.pgd]\neps = 0.1", r"needs eps and a figure"),
        ('[require.attack.pgd]\neps = "x/255"\nrobust = 0.1', "number or a fraction"),
        ("[require]\nattack = 3", r"Expected \[require\.attack\.NAME\] to be a table"),
        ("[require.export.onnx]", r"\[require\.export\.onnx\] needs a figure"),
        ("[require.export.onnx]\nsize = 1", r"the keys are: n, label_agreement, max_probability_difference"),
        ("[require.runtimes]\nfp32 = 1", r"Expected \[require\.runtimes\.NAME\] to be a table"),
        ("[require.runtimes.fp32]\nsize = 1", r"the keys are: targets, n, label_agreement, accuracy, accuracy_lost"),
        ('[require.runtimes.fp32]\ntargets = ["onnx"]', "needs a figure"),
        ("[require.runtimes.fp32]\ntargets = 'onnx'\nn = 1", "targets to be a list of names, but got 'onnx'"),
        ('[require]\naccuracy = "high"', "Expected accuracy to be a number, but got 'high'"),
        ("[require]\naccuracy = true", "to be a number"),
        ("[require]\naccuracy = nan", "to be a number"),
        ("[require]\nsplit = 3\naccuracy = 0.5", "Expected split to be the name"),
        ("[require]\nn = 1" + "0" * 400, "Expected n to be a number"),
        ("[require.attack.pgd]\neps = -5\nrobust = 0.1", "eps to be at least 0"),
        ("[require.attack.pgd]\neps = '-4/255'\nrobust = 0.1", "eps to be at least 0"),
        ("[require.attack.pgd]\neps = '1e400'\nrobust = 0.1", "to be a number or a fraction"),
        ("[required]\naccuracy = 0.5", "has 'required'; a policy has only the table"),
        ("accuracy = 0.5", "has 'accuracy'"),
        ("", "requires nothing"),
        ('[require]\nsplit = "test"', "requires nothing"),
        ("[require\n", "is not TOML"),
    ],
)
def test_wrong_policies_are_wrong_use(text, message, hold):
    with pytest.raises(UsageError, match=message) as caught:
        hold(text)
    assert "\n" not in str(caught.value)


def test_a_missing_policy_file(card, tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        check_policy(card, tmp_path / "none.toml")


def test_every_figure_and_its_direction_stand_in_the_documentation(root: Path):
    text = (root / "docs" / "guides" / "policies.md").read_text(encoding="utf-8")
    for key, figure in FIGURES.items():
        assert f"| `{key}` | {figure.direction} | {figure.meaning} |" in text
    for key in (*ATTACK_FIGURES, *EXPORT_FIGURES, *RUNTIME_FIGURES):
        assert f"`{key}`" in text


def certified_runtimes(split: str, *rows: ParityFigures) -> RuntimeReport:
    return RuntimeReport(provenance=Provenance(split=split, n=200), runtimes=rows)


def test_runtimes(hold, card):
    onnx = ParityFigures(target="onnx", n=200, max_probability_difference=1e-6, accuracy=0.97, runtime_accuracy=0.97)
    litert = onnx.changed(target="litert", max_probability_difference=2e-5, pixel_differences=1)
    small = onnx.changed(
        precision="int8", runtime_accuracy=0.955, label_agreement=0.98, answers_changed=7, labels_changed=4
    )
    measured = card.with_evidence(certified_runtimes("test", onnx.changed(label_agreement=0.5)))
    measured = measured.with_evidence(
        certified_runtimes("test", onnx, litert, small), certified_runtimes("other", small.changed(n=3))
    )
    fp32 = "[require.runtimes.fp32]\nlabel_agreement = 1.0\nmax_probability_difference = 1e-4\nn = 200\n"
    assert hold(fp32, measured)["passed"]
    assert hold(fp32 + 'targets = ["litert", "onnx"]', measured)["passed"]
    worst = "max_probability_difference = 1e-5\npixel_differences = 0\nanswers_changed = 0"
    failed = hold(f"[require.runtimes.fp32]\n{worst}", measured)["failed"]
    assert [(f["figure"], f["got"]) for f in failed] == [
        ("runtimes.fp32.max_probability_difference", 2e-5),
        ("runtimes.fp32.pixel_differences", 1),
    ]
    assert hold(f'[require.runtimes.fp32]\ntargets = ["onnx"]\n{worst}', measured)["passed"]
    lost = hold("[require.runtimes.int8]\naccuracy_lost = 0.005\naccuracy = 0.95\nanswers_changed = 6", measured)
    assert [(f["figure"], f["got"]) for f in lost["failed"]] == [
        ("runtimes.int8.accuracy_lost", pytest.approx(0.015)),
        ("runtimes.int8.answers_changed", 7),
    ]
    for text, words in (
        ('[require.runtimes.fp32]\ntargets = ["onnx", "openvino"]\nn = 1', "no openvino fp32 among the runtimes"),
        ("[require.runtimes.bf16]\nn = 1", "no runtime with bf16 among the runtimes certified on 'test'"),
    ):
        [one] = hold(text, measured)["failed"]
        assert one["got"] is None
        assert words in one["reason"]
    assert not hold(fp32)["passed"]  # nothing was certified


def corrupted(split: str, *accuracies: float) -> CorruptionReport:
    results = tuple(
        CorruptionFigures(
            corruption="blur", strength=float(i), unit="pixels", n=200, accuracy=a, accuracy_ci=(a - 0.05, a + 0.05)
        )
        for i, a in enumerate(accuracies)
    )
    mean = sum(accuracies) / len(accuracies)
    return CorruptionReport(
        provenance=Provenance(split=split, n=200),
        classes=("face", "not-face"),
        clean_accuracy=0.97,
        clean_ci=(0.95, 0.98),
        mean_accuracy=mean,
        results=results,
    )


def certified(split: str) -> CertificateReport:
    curve = tuple(
        CertifiedAccuracy(radius=r, accuracy=a, accuracy_ci=(a - 0.1, a + 0.1))
        for r, a in ((0.0, 0.9), (0.25, 0.7), (0.5, 0.4))
    )
    return CertificateReport(
        provenance=Provenance(split=split, n=100),
        classes=("face", "not-face"),
        sigma=0.25,
        alpha=0.001,
        n0=100,
        samples=1000,
        base_accuracy=0.95,
        abstained=3,
        mean_radius=0.31,
        curve=curve,
    )


def figures_of(card: ModelCard, path: Path, text: str) -> dict[str, tuple[float | None, bool]]:
    path.write_text(text)
    return {c["figure"]: (c["got"], c["passed"]) for c in check_policy(card, path).to_dict()["checked"]}


def test_corruptions_and_certificate(card: ModelCard, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    both = card.with_evidence(
        corrupted("elsewhere", 1.0), corrupted("test", 0.5, 0.5), corrupted("test", 0.9, 0.6), certified("test")
    )
    text = """[require.corruption]
n = 200
mean_accuracy = 0.75
accuracy = 0.61
accuracy_lower = 0.54
[require.certificate]
radius = 0.2
accuracy = 0.7
accuracy_lower = 0.61
mean_radius = 0.3
n = 101
"""
    assert figures_of(both, policy, text) == {
        "corruption.n": (200, True),
        "corruption.mean_accuracy": (0.75, True),
        "corruption.accuracy": (0.6, False),
        "corruption.accuracy_lower": (pytest.approx(0.55), True),
        # Between two radii of the curve the larger one counts.
        "certificate.accuracy": (0.7, True),
        "certificate.accuracy_lower": (pytest.approx(0.6), False),
        "certificate.mean_radius": (0.31, True),
        "certificate.n": (100, False),
    }
    assert all(found == (None, False) for found in figures_of(card, policy, text).values())
    beyond = "[require.certificate]\nradius = 0.6\naccuracy = 0.1\n"
    assert figures_of(both, policy, beyond) == {"certificate.accuracy": (None, False)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("corruption = 1", "to be a table with figures, but got corruption = 1"),
        ("[require.corruption]\nblur = 1", "has no key 'corruption.blur'; the keys are: n, mean_accuracy"),
        ("[require.certificate]\nsigma = 1", "has no key 'certificate.sigma'; the keys are: radius, n"),
        ("[require.certificate]\naccuracy = 1", "needs radius and accuracy together"),
        ("[require.certificate]\nradius = 0.1", "needs radius and accuracy together"),
        ("[require.certificate]\nmean_radius = true", "certificate.mean_radius to be a number, but got True"),
    ],
)
def test_wrong_corruption_and_certificate_tables(card: ModelCard, tmp_path: Path, text: str, words: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(text if text.startswith("[") else f"[require]\n{text}\n")
    with pytest.raises(UsageError, match=words):
        check_policy(card, policy)


def condition(name: str, ece: float, error: float | None) -> ConditionFigures:
    figures = ProbabilityFigures(
        ece=ece,
        ece_ci=(ece / 2, 2 * ece),
        ece_by_chance=0.01,
        ece_equal_mass=ece,
        ece_equal_mass_ci=(ece / 2, 2 * ece),
        ece_classwise=ece,
        ece_classwise_ci=(ece / 2, 2 * ece),
        brier=0.1,
        brier_ci=(0.05, 0.2),
        nll=0.2,
        nll_ci=(0.1, 0.3),
        reliability=(),
    )
    return ConditionFigures(
        condition=name, n=200, accuracy=0.9, coverage=0.8, error_answered=error, before=figures, after=figures
    )


def test_calibration_is_judged_by_its_worst_condition_or_by_a_named_one(card, hold):
    report = CalibrationReport(
        provenance=Provenance(split="test", n=200),
        classes=card.classes,
        method="beta",
        cross_validated=False,
        conditions=(condition("original", 0.01, 0.005), condition("jpeg-40", 0.04, None)),
    )
    with_report = card.with_evidence(report)
    found = hold("[require.calibration]\nece = 0.05\nece_upper = 0.07\nn = 100", with_report)
    assert {c["figure"]: (c["got"], c["passed"]) for c in found["checked"]} == {
        "calibration.ece": (0.04, True),
        "calibration.ece_upper": (0.08, False),
        "calibration.n": (200, True),
    }
    assert hold('[require.calibration]\ncondition = "original"\nece = 0.01', with_report)["passed"]
    nothing = hold("[require.calibration]\nerror_answered = 0.5", with_report)
    assert "nothing is answered" in nothing["failed"][0]["reason"]
    assert hold("[require.calibration]\nece = 1", card)["failed"][0]["reason"] == "no calibration on 'test'"
    with pytest.raises(UsageError, match=r"no key 'calibration.ecee'.*ece_upper"):
        hold("[require.calibration]\necee = 1", with_report)


def test_a_promise_counts_only_if_it_is_kept(card, hold):
    def promising(kept: bool) -> ModelCard:
        stated = StatedError(
            error=0.01, certainty=0.95, kept=kept, limit=0.9, design_effect=1.0, sequences=1, conditions={}
        )
        bounded = FalsePositives(rate=0.02, certainty=0.95, kept=kept, upper=0.9, lower=0.1, sources={})
        return card.changed(abstention=Abstention(stated_error=stated, false_positives=bounded))

    assert hold("[require.promise]\nerror = 0.01\nfalse_positive = 0.05", promising(True))["passed"]
    assert not hold("[require.promise]\nerror = 0.005", promising(True))["passed"]
    failed = hold("[require.promise]\nerror = 0.01", promising(False))["failed"]
    assert failed[0]["reason"] == "the model promises no error"
    with pytest.raises(UsageError, match=r"no key 'promise.eror'; the keys are: error, false_positive"):
        hold("[require.promise]\neror = 1", card)


def remade(flips: int, answers: int = 400) -> RemadeReport:
    def one(name: str, flips: int, accuracy: float) -> PipelineFigures:
        return PipelineFigures(
            pipeline=name,
            kind="jpeg",
            steps="JPEG",
            n=200,
            accuracy=accuracy,
            accuracy_ci=(accuracy - 0.05, accuracy + 0.05),
            coverage=accuracy,
            accuracy_answered=1.0,
            answers=answers // 2,
            flips=flips,
            flip_rate=2 * flips / answers if answers else None,
            flip_rate_ci=(0.0, 0.1) if answers else None,
            rates={"face": 0.5, "not-face": 0.5},
        )

    gap = RateGap(label="face", highest="a", highest_rate=0.5, lowest="b", lowest_rate=0.5, gap=0.0, gap_ci=(-0.1, 0.1))
    return RemadeReport(
        provenance=Provenance(split="test", n=200),
        classes=("face", "not-face"),
        original_accuracy=0.9,
        original_accuracy_ci=(0.8, 0.95),
        original_coverage=0.9,
        original_rates={"face": 0.5, "not-face": 0.5},
        answers=answers,
        flips=flips,
        flip_rate=flips / answers if answers else None,
        flip_rate_ci=(0.0, 0.02) if answers else None,
        images_answered=answers // 2,
        images_flipped=flips,
        images_flipped_ci=(0.0, 0.04) if answers else None,
        explained_by_label=0.5,
        explained_by_processing=0.1,
        explained_difference_ci=(-0.5, -0.3),
        largest_rate_gap=gap,
        results=(one("jpeg-q40-420", flips, 0.8), one("jpeg-q95-420", 0, 0.9)),
    )


def test_remade(card: ModelCard, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    text = """[require.remade]
n = 200
flip_rate = 0.01
flip_rate_upper = 0.01
worst_flip_rate = 0.01
images_flipped_upper = 0.05
accuracy = 0.8
accuracy_lower = 0.8
coverage = 0.75
"""
    assert figures_of(card.with_evidence(remade(4)), policy, text) == {
        "remade.n": (200, True),
        "remade.flip_rate": (0.01, True),
        "remade.flip_rate_upper": (0.02, False),
        "remade.worst_flip_rate": (0.02, False),
        "remade.images_flipped_upper": (0.04, True),
        "remade.accuracy": (0.8, True),
        "remade.accuracy_lower": (pytest.approx(0.75), False),
        "remade.coverage": (0.8, True),
    }
    none = "[require.remade]\nflip_rate = 0.5\n"
    assert figures_of(card, policy, none) == {"remade.flip_rate": (None, False)}
    # No answer is no proof of stable answers.
    assert figures_of(card.with_evidence(remade(0, answers=0)), policy, none) == {"remade.flip_rate": (None, False)}
    with pytest.raises(UsageError, match=r"no key 'remade\.flips'"):
        figures_of(card, policy, "[require.remade]\nflips = 1\n")


@pytest.mark.parametrize(
    "text", ["ece_upper = 3", "accuracy_lower = 98", "[require.export.onnx]\nmax_probability_difference = 2"]
)
def test_a_percentage_is_no_rate(card, tmp_path, text):
    """3 as the largest calibration error would let every model pass."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f"[require]\n{text}\n" if "require" not in text else text)
    with pytest.raises(UsageError, match=r"to be a rate in \[0, 1\]"):
        check_policy(card, policy)
