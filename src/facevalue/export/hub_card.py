"""The ``README.md`` of a published model: what the Hugging Face Hub shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from facevalue.evidence.card import ModelCard
from facevalue.evidence.findings import Finding
from facevalue.evidence.purpose import purpose_of
from facevalue.support.formats import interval, percent

README = "README.md"


SLIGHT = 24
"""Levels of 255 by which a network input differs at most where only the resizing is done otherwise."""


def readme(card: ModelCard, read_otherwise: Mapping[str, int] | None = None) -> str:
    """The page, with the metadata that the Hub reads at its beginning.

    Parameters
    ----------
    read_otherwise : by kind of image file, by how many levels of 255 timm's and transformers' network input differs
        from facevalue's; ``None`` if the folder does not hold the files that they open.
    """
    return "\n".join([*_metadata(card, read_otherwise is not None), "", *_body(card, read_otherwise)]) + "\n"


def _metadata(card: ModelCard, foreign: bool) -> Iterator[str]:
    yield "---"
    yield f"library_name: {'timm' if foreign else 'facevalue'}"
    yield "pipeline_tag: image-classification"
    yield "tags:"
    for tag in ("image-classification", "facevalue", *(("timm", "transformers") if foreign else ())):
        yield f"- {tag}"
    if card.network.licence is not None:
        yield "license: other"
        yield f"license_name: {json.dumps(card.network.licence.lower())}"
    test = card.evaluation("test")
    if test is not None:
        yield "model-index:"
        yield "- name: facevalue"
        yield "  results:"
        yield "  - task:"
        yield "      type: image-classification"
        yield "    dataset:"
        yield "      name: the model's own test images"
        yield "      type: images"
        yield "    metrics:"
        for name, value in (("accuracy", test.accuracy), ("ece", test.ece)):
            yield f"    - type: {name}"
            yield f"      value: {value:.4f}"
    yield "---"


def _body(card: ModelCard, read_otherwise: Mapping[str, int] | None) -> Iterator[str]:
    yield f"# {' or '.join(map(_plain, card.classes))}"
    yield ""
    yield f"An image classifier ({card.network.name}, {card.network.parameters:,} parameters) made with facevalue."
    yield f"Classes: {', '.join(map(_plain, card.classes))}."
    yield ""
    purpose = purpose_of(card)
    if purpose.intended:
        yield f"For: {purpose.intended}"
        yield ""
    if purpose.not_for:
        yield f"Not for: {'; '.join(purpose.not_for)}."
        yield ""
    yield "## Figures"
    yield ""
    yield from _figures(card)
    yield "## Use"
    yield ""
    yield "With facevalue, the answers are those that were measured: every kind of image is read the same way, and the"
    yield "model abstains where it should."
    yield ""
    yield "```bash"
    yield "pip install 'facevalue[hub]'"
    yield "facevalue pull hub:USER/NAME -o model"
    yield "facevalue predict model image.jpg"
    yield "```"
    yield ""
    if read_otherwise is not None:
        yield from _other_tools(card, read_otherwise)
    yield "## Limits"
    yield ""
    yield from _limits(card)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: a class may be named ``a|b`` or ``<b>``, as its folder is."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def _figures(card: ModelCard) -> Iterator[str]:
    test = card.evaluation("test")
    if test is None:
        yield "The model was never evaluated on test images."
        yield ""
        return
    yield f"On {test.n:,} test images that were not used to make it:"
    yield ""
    yield "| figure | value | 95 % interval |"
    yield "|---|---|---|"
    yield f"| accuracy | {percent(test.accuracy)} | {interval(test.accuracy_ci)} |"
    yield f"| balanced accuracy | {percent(test.balanced_accuracy)} | {interval(test.balanced_accuracy_ci)} |"
    yield f"| calibration error (ECE) | {percent(test.ece)} | {interval(test.ece_ci)} |"
    yield f"| share of images answered | {percent(test.coverage)} | |"
    yield f"| accuracy of these answers | {percent(test.accuracy_answered)} | {interval(test.accuracy_answered_ci)} |"
    yield ""


def _other_tools(card: ModelCard, read_otherwise: Mapping[str, int]) -> Iterator[str]:
    yield "With timm and transformers, the probabilities are calibrated too: the temperature"
    yield f"({card.temperature:.4g}) is folded into the last layer."
    yield ""
    yield "```python"
    yield "import timm"
    yield "from transformers import pipeline"
    yield ""
    yield 'model = timm.create_model("hf-hub:USER/NAME", pretrained=True)'
    yield 'classify = pipeline("image-classification", model="USER/NAME")'
    yield "```"
    yield ""
    yield "What they do otherwise than facevalue:"
    yield ""
    rule = "the most probable class"
    if card.positive is not None and card.threshold != 0.5:
        rule += f", not {card.positive!r} from a probability of {card.threshold:.4g} on"
    yield f"- They give {rule}."
    limits = card.abstention
    if limits.confidence > 0:
        yield f"- They never abstain. facevalue abstains below a probability of {limits.confidence:.4g}."
    if limits.novelty is not None:
        yield "- They do not know when an image is unlike the training images. facevalue abstains then."
    other = [kind for kind, levels in read_otherwise.items() if levels > SLIGHT]
    if other:
        yield f"- They read these kinds of files otherwise, and may answer otherwise: {', '.join(other)}."
    slight = max((levels for levels in read_otherwise.values() if levels <= SLIGHT), default=0)
    if slight:
        yield f"- They resize some images otherwise: the network input differs by at most {slight} levels of 255."
    yield ""


def _limits(card: ModelCard) -> Iterator[str]:
    counts = card.data.counts
    if counts:
        yield "| split | " + " | ".join(map(_plain, card.classes)) + " |"
        yield "|---|" + "---|" * len(card.classes)
        for split, by_class in counts.items():
            yield f"| {split} | " + " | ".join(f"{by_class.get(label, 0):,}" for label in card.classes) + " |"
        yield ""
    yield "The model was trained and tested on these images. On images from other sources it may be worse."
    warnings: list[Finding] = list(card.data.warnings)
    test = card.evaluation("test")
    warnings += [] if test is None else list(test.warnings)
    for warning in warnings:
        yield f"- {_plain(warning.text)} ([{warning.code}]({warning.link}))"
    if card.network.licence is not None:
        yield f"- The initial weights ({card.network.weights}) have the licence {card.network.licence}."
    yield "- All evidence, with commands and versions, is in `card.json`, if it is beside this file."
