"""The card survives JSON, and says in one line what is wrong with a model folder."""

import json
from pathlib import Path

import msgspec
import pytest

from facevalue.errors import FaceValueError, ModelFolderError, UsageError
from facevalue.evidence.card import CARD, Abstention, ModelCard, NetworkFacts
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import (
    AttackFigures,
    AttackReport,
    Bin,
    CorruptionReport,
    Evaluation,
    Evidence,
    ExportReport,
)
from facevalue.evidence.store import keep_evidence
from facevalue.images.preprocessing import Preprocessing
from facevalue.support import files

REPORT = Evaluation(
    provenance=Provenance(split="test", n=3, fingerprint="f"),
    classes=("cat", "dog"),
    accuracy=2 / 3,
    accuracy_ci=(0.2, 0.9),
    balanced_accuracy=0.75,
    balanced_accuracy_ci=(0.2, 1.0),
    auroc=None,
    auroc_ci=None,
    average_precision=0.5,
    ece=0.1,
    ece_ci=(0.0, 0.2),
    brier=0.3,
    nll=0.4,
    confusion=((1, 1), (0, 1)),
    recall={"cat": 0.5, "dog": 1.0},
    recall_ci={"cat": (0.1, 0.9), "dog": (0.2, 1.0)},
    abstained=1,
    coverage=2 / 3,
    accuracy_answered=1.0,
    accuracy_answered_ci=(0.3, 1.0),
    reasons={"novel": 1},
    reliability=(Bin(low=0.5, high=0.6, n=3, confidence=0.55, accuracy=0.66),),
)
ATTACK = AttackReport(
    provenance=Provenance(split="test", n=3, seed=0),
    classes=("cat", "dog"),
    clean_confusion=((1, 1), (0, 1)),
    results=(
        AttackFigures(
            attack="fgsm",
            norm="linf",
            eps=8 / 255,
            n=3,
            clean_accuracy=0.6,
            robust_accuracy=0.3,
            robust_ci=(0.1, 0.7),
            robust_accuracy_unrounded=0.3,
            confusion=((0, 2), (0, 1)),
            mean_distance=0.03,
            queries=6,
            seconds=0.1,
        ),
    ),
)
EXPORT = ExportReport(
    target="onnx",
    path="model.onnx",
    bytes=10,
    provenance=Provenance(n=3),
    label_agreement=1.0,
    max_probability_difference=1e-7,
)


def card() -> ModelCard:
    return ModelCard(
        classes=("cat", "dog"),
        preprocessing=Preprocessing(size=32, fit="pad"),
        network=NetworkFacts(name="small-resnet", options={"widths": [16, 32]}, mean=(0.5, 0.5, 0.5)),
        positive="dog",
        threshold=0.4,
        temperature=1.7,
        abstention=Abstention(confidence=0.6, novelty=1.2, n=40),
        evidence=(REPORT, ATTACK, EXPORT),
    )


def test_round_trip(tmp_path: Path) -> None:
    card().save(tmp_path)
    assert ModelCard.load(tmp_path) == card()
    plain = json.loads((tmp_path / CARD).read_text())
    assert [e["kind"] for e in plain["evidence"]] == ["evaluation", "attack", "export"]


def test_a_card_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    card().save(tmp_path)
    with pytest.raises(FaceValueError, match="was not replaced: the new card is not valid"):
        card().changed(temperature=float("inf")).save(tmp_path)
    assert ModelCard.load(tmp_path) == card()


def test_a_card_lists_its_own_and_inherited_hardening() -> None:
    plain, robust = card(), card().changed(recipe={"adversarial": {"method": "pgd"}})
    taught = card().changed(recipe={"distill": {"teacher": "t", "form": "defensive"}, "hardened": ["adversarial"]})
    assert (plain.hardened, robust.hardened) == ((), ("adversarial",))
    assert taught.hardened == ("adversarial", "distillation")
    assert card().changed(recipe={"distill": {"teacher": "t", "form": "knowledge"}}).hardened == ()


def test_records_are_frozen() -> None:
    with pytest.raises(AttributeError):
        card().threshold = 0.5  # type: ignore[misc]


def test_the_last_report_of_a_split_counts() -> None:
    later = msgspec.structs.replace(REPORT, accuracy=1.0)
    assert card().with_evidence(later).evaluation("test") == later
    assert card().evaluation("train") is None
    assert len(card().evidence) == 3


def test_evidence_as_plain_values_has_no_tag() -> None:
    assert "kind" not in REPORT.to_dict()
    assert (REPORT.to_dict()["split"], REPORT.to_dict()["n"]) == ("test", 3)
    assert REPORT.to_dict()["provenance"]["fingerprint"] == "f"
    assert list(REPORT.to_dict()["accuracy_ci"]) == [0.2, 0.9]


def test_new_evidence_replaces_only_the_same_measurement(tmp_path: Path) -> None:
    card().save(tmp_path)
    better = REPORT.changed(accuracy=1.0)
    other = REPORT.changed(provenance=Provenance(split="test", n=3, fingerprint="other images"))
    stronger = ATTACK.changed(results=(ATTACK.results[0].changed(eps=16 / 255),))
    again = ATTACK.changed(results=(ATTACK.results[0].changed(robust_accuracy=0.0),))
    keep_evidence(tmp_path, better, other, stronger, again)
    assert ModelCard.load(tmp_path).evidence == (EXPORT, better, other, stronger, again)


def test_evidence_of_one_kind(tmp_path: Path) -> None:
    assert card().of_kind(AttackReport) == [ATTACK]
    assert card().of_kind(CorruptionReport) == []
    with pytest.raises(TypeError, match="abstract"):
        Evidence(provenance=Provenance())  # type: ignore[abstract]


def change(plain: dict, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        plain = plain[int(name)] if isinstance(plain, list) else plain[name]
    plain[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("network.surprise", 1),
        ("temperature", "warm"),
        ("classes", ["cat"]),
        ("classes", ["cat", "cat"]),
        ("positive", "bird"),
        ("preprocessing.size", 3),
        ("preprocessing.fit", "stretch"),
        ("evidence.0.kind", "rumour"),
        ("evidence.0.accuracy", None),
        ("evidence.0.warnings", ["a text"]),
        ("evidence.0.warnings", [{"code": "rumour", "severity": "info", "text": ""}]),
        ("format", 3),
        ("classes", None),
    ],
)
def test_a_card_that_is_wrong(tmp_path: Path, path: str, value: object) -> None:
    plain = json.loads(card().to_json())
    change(plain, path, value)
    (tmp_path / CARD).write_text(json.dumps(plain))
    with pytest.raises(ModelFolderError) as caught:
        ModelCard.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_a_card_that_is_no_card(tmp_path: Path, text: bytes) -> None:
    (tmp_path / CARD).write_bytes(text)
    with pytest.raises(ModelFolderError, match=r"card\.json is not a card"):
        ModelCard.load(tmp_path)


def test_no_folder_and_no_card(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="it does not exist"):
        ModelCard.load(tmp_path / "none")
    with pytest.raises(ModelFolderError, match=r"holds no readable card\.json"):
        ModelCard.load(tmp_path)


def test_missing_and_altered_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    written = card().changed(files={path.name: files.sha256(path)})
    assert written.checked_file(tmp_path, path.name) == path
    path.write_bytes(b"Weights")
    with pytest.raises(ModelFolderError, match="changed or damaged"):
        written.checked_file(tmp_path, path.name)
    path.unlink()
    with pytest.raises(ModelFolderError, match="is missing"):
        written.checked_file(tmp_path, path.name)
    with pytest.raises(ModelFolderError, match="is missing"):
        written.checked_file(tmp_path, "model.onnx")


def test_errors_know_their_exit_code() -> None:
    assert FaceValueError.exit_code == 1
    assert UsageError.exit_code == ModelFolderError.exit_code == 2
