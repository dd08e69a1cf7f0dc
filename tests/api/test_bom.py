"""The bill of materials against the official schema of CycloneDX 1.6."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from facevalue.evidence.bom import FILE, bom_of
from facevalue.evidence.card import WEIGHTS, ModelCard
from facevalue.export.hub_card import readme
from facevalue.models.classifier import Classifier


@pytest.fixture(scope="module")
def valid() -> jsonschema_rs.Validator:
    schemas = resources.files("cyclonedx.schema") / "_res"

    def schema(name: str) -> dict[str, Any]:
        return dict(json.loads((schemas / f"{name}.SNAPSHOT.schema.json").read_text(encoding="utf-8")))

    others = {f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json": schema(name) for name in ("spdx", "jsf-0.82")}
    return jsonschema_rs.Draft7Validator(
        schema("bom-1.6"), registry=jsonschema_rs.Registry([*others.items()]), validate_formats=True
    )


def test_a_trained_model_s_bill_is_valid_and_complete(made: Classifier, valid: jsonschema_rs.Validator) -> None:
    assert made.folder is not None
    bom = json.loads((made.folder / FILE).read_text(encoding="utf-8"))
    assert [str(error) for error in valid.iter_errors(bom)] == []
    model = bom["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": made.card.files[WEIGHTS]}]
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    test = made.card.evaluation("test")
    assert test is not None
    assert {"accuracy": f"{test.accuracy:.4f}"}.items() <= {
        m["type"]: m["value"] for m in metrics if m["slice"] == "test"
    }.items()
    parts = {part["bom-ref"]: part for part in bom["components"]}
    assert parts["images"]["hashes"][0]["content"] == made.card.provenance.fingerprint
    assert parts["library:torch"]["version"] == made.card.provenance.versions["torch"]
    assert set(bom["dependencies"][0]["dependsOn"]) == set(parts)


def test_it_names_no_path_and_is_the_same_for_the_same_card(made: Classifier, tmp_path: Path) -> None:
    text = json.dumps(bom_of(made.card))
    assert str(Path(made.card.provenance.source).parent) not in text
    assert made.folder is not None
    assert text == json.dumps(bom_of(ModelCard.load(made.folder)))


def test_a_wrong_bill_is_not_valid(made: Classifier, valid: jsonschema_rs.Validator) -> None:
    """The schema is really asked."""
    bom = bom_of(made.card)
    bom["metadata"]["component"]["hashes"][0]["content"] = "no hash"
    assert not valid.is_valid(bom)


def test_purpose_and_warnings_are_in_it(made: Classifier, valid: jsonschema_rs.Validator) -> None:
    recipe = {**made.card.recipe, "purpose": {"intended": "Tells faces from others.", "not_for": ["naming people"]}}
    bom = bom_of(made.card.changed(recipe=recipe))
    assert valid.is_valid(bom)
    considerations = bom["metadata"]["component"]["modelCard"]["considerations"]
    assert considerations["useCases"] == ["Tells faces from others."]
    assert "not for: naming people" in considerations["technicalLimitations"]


def test_class_names_are_no_markdown_in_the_readme(made: Classifier) -> None:
    card = made.card.changed(classes=("a|b", "<i>c*"), positive="a|b")
    page = readme(card)
    assert "# a\\|b or \\<i\\>c\\*" in page
    assert "| split | a\\|b | \\<i\\>c\\* |" in page
