"""The model card as one self-contained HTML page."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from facevalue.errors import ImageError, ModelFolderError, UsageError
from facevalue.evaluation.worst_classes import SHOWN, worst_classes
from facevalue.evidence.card import HISTORY, ModelCard
from facevalue.evidence.findings import Finding, finding
from facevalue.evidence.policy.judging import checked
from facevalue.evidence.purpose import purpose_of
from facevalue.evidence.records import (
    AdaptReport,
    AttackFigures,
    AttackReport,
    CalibrationReport,
    CertificateReport,
    CorruptionReport,
    Evaluation,
    ExplanationReport,
    ExportReport,
    FinetuneReport,
    LeftOutReport,
    RemadeReport,
    RuntimeReport,
    SourceReport,
    StrangerReport,
)
from facevalue.images import decoding
from facevalue.reports import plots
from facevalue.reports.annex import annex
from facevalue.reports.base_rate import RATES, BaseRateFigures, script, script_hash
from facevalue.reports.page_templates import page_template, source_tables
from facevalue.support import files
from facevalue.support.formats import eps_text, interval, percent

SPLITS = ("train", "validation", "calibration", "test")
_THUMBNAIL = 900  # pixels, the longer side of a gallery image
_RECALLS = 6  # columns of recall at most
_GALLERY = 24  # images shown at most
_UNREADABLE = 50  # files listed at most
_GALLERIES = ("images", "pictures")  # folders in a model folder; the second in those of card format 1


def write_report(folder: Path, output: Path, gallery: Sequence[tuple[Path, str]] = ()) -> Path:
    """Write a model folder's card as an HTML page without requests or other files.

    Its only script computes what a positive answer means at the base rate that the reader types.

    Parameters
    ----------
    folder : a model folder. Its ``history.jsonl`` and ``images/*.png`` are shown if they exist.
    output : file to write.
    gallery : more images with captions, for example from ``explain``.

    Returns
    -------
    ``output``.

    Raises
    ------
    ModelFolderError
        There is no card, or the history is damaged.
    UsageError
        A gallery image cannot be read.
    """
    card = ModelCard.load(folder)
    own = [path for name in _GALLERIES for path in sorted((folder / name).glob("*.png"))]
    images = [*((path, path.stem) for path in own), *gallery]
    page = render(card, _history(folder), [(_thumbnail(path), caption) for path, caption in images[:_GALLERY]])
    files.write_text(output, page)
    return output


def render(card: ModelCard, history: Sequence[Mapping[str, Any]] = (), gallery: Sequence[tuple[str, str]] = ()) -> str:
    """The page as HTML.

    Parameters
    ----------
    card : of the model.
    history : lines of ``history.jsonl``.
    gallery : images as data URIs, with captions.
    """
    template = page_template(
        "report.html.j2", percent=percent, interval=interval, eps=eps_text, number=number, flat=flat
    )
    from markupsafe import Markup

    def svg(draw: Callable[[Any], Any], shown: Any, label: str) -> Markup:
        # Matplotlib escapes the text in a figure, and to_svg escapes the label.
        return Markup(plots.svg_of(draw, shown, label))

    evaluations, test = card.of_kind(Evaluation), card.evaluation("test")
    base_rates = None if test is None else BaseRateFigures.of(test, card.positive)
    return template.render(
        card=card,
        purpose=purpose_of(card),
        policy=() if card.policy is None else tuple(checked(card, card.policy.required)),
        annex=annex(card),
        test=test,
        base_rates=base_rates,
        rates=RATES,
        script=Markup(script()),
        script_hash=Markup(script_hash()),
        calibrations=card.of_kind(CalibrationReport),
        calibration_curves=lambda r: svg(plots.calibration, r, f"Reliability before and after, on {r.split}"),
        risk_coverage=lambda r: svg(plots.risk_coverage, r, f"Error among answers by coverage on {r.split}"),
        evaluations=evaluations,
        # Splits that were used to make the model get one row each; new images are shown in detail.
        detailed=[e for e in evaluations if e.split == "test" or e.split not in SPLITS],
        attacks=card.of_kind(AttackReport),
        finetuned=card.of_kind(FinetuneReport),
        adapted=card.of_kind(AdaptReport),
        corruptions=card.of_kind(CorruptionReport),
        strangers=card.of_kind(StrangerReport),
        remade=card.of_kind(RemadeReport),
        explanations=card.of_kind(ExplanationReport),
        certificates=card.of_kind(CertificateReport),
        sources=card.of_kind(SourceReport),
        left_out=card.of_kind(LeftOutReport),
        source_tables=source_tables(),
        corruption_curves=lambda r: svg(
            plots.corruption_curves, r, f"Accuracy under everyday corruptions on {r.split}"
        ),
        certified=lambda rs: svg(plots.certified_curve, rs, "Certified accuracy against the L2 radius"),
        exports=card.of_kind(ExportReport),
        runtimes=card.of_kind(RuntimeReport),
        strongest=strongest,
        worst_classes=worst_classes,
        most_classes=SHOWN,
        most_recalls=_RECALLS,
        warnings=warnings_of(card),
        commands=commands_of(card),
        splits=[s for s in SPLITS if s in card.data.counts] + [s for s in card.data.counts if s not in SPLITS],
        unreadable=card.data.unreadable[:_UNREADABLE],
        history=svg(plots.history, history, "Loss and accuracy during training") if history else None,
        epochs=len(plots.main_phase(history)),
        steps="strengths tried" if history and "strength" in plots.main_phase(history)[0] else "epochs",
        kept="the last" if card.recipe.get("fit", {}).get("keep") == "last" else "the best on validation",
        reliability=lambda r: svg(plots.reliability, r, f"Reliability diagram on {r.split}"),
        against_eps=lambda r: svg(plots.accuracy_against_eps, r, "Accuracy against eps"),
        gallery=gallery,
    )


def number(value: float, digits: int = 3) -> str:
    """A number with ``digits`` significant digits and thousands separators.

    >>> number(1226722), number(0.000123456), number(1.2134)
    ('1,226,722', '0.000123', '1.21')
    """
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys with plain values, as ``--set`` takes them.

    >>> list(flat({"fit": {"epochs": 15}, "name": "scratch"}))
    [('fit.epochs', '15'), ('name', 'scratch')]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if key == "eps" and isinstance(value, float):
                text = eps_text(value, str(settings.get("norm", "linf")))
            yield f"{prefix}{key}", text


def strongest(report: AttackReport) -> list[AttackFigures]:
    """The figures at the largest eps for each attack and norm, separately for blind and adaptive attacks."""
    found: dict[tuple[str, str, bool], AttackFigures] = {}
    for figures in sorted(report.results, key=lambda r: r.eps):
        found[figures.attack, figures.norm, figures.adaptive] = figures
    return list(found.values())


def warnings_of(card: ModelCard) -> list[tuple[str, Finding]]:
    """All warnings on the card, each with the part of the card that it is about."""
    found = [("data", warning) for warning in card.data.warnings]
    if card.evaluation("test") is None:
        text = (
            "there is no evaluation on a test split, so this page does not say how well the model works on new images"
        )
        found.append(("evidence", finding("no-test-evaluation", text)))
    found.extend((evidence.title(), warning) for evidence in card.evidence for warning in evidence.warnings)
    if card.data.unreadable:
        n = len(card.data.unreadable)
        text = (
            f"{n} file{'s' * (n != 1)} could not be read and {'were' if n > 1 else 'was'} left out; listed under Data"
        )
        found.append(("data", finding("unreadable-files", text, n=n)))
    return list({(where, warning.code, warning.text): (where, warning) for where, warning in found}.values())


def commands_of(card: ModelCard) -> list[tuple[str, str, str]]:
    """For each command: what it made, when it was first run, and the command."""
    pieces = [("the model", card.provenance), *((e.title(), e.provenance) for e in card.evidence)]
    made: dict[str, list[tuple[str, str]]] = {}
    for what, provenance in pieces:
        if provenance.command:
            made.setdefault(provenance.command, []).append((what, provenance.created))
    return [
        (", ".join(dict.fromkeys(what for what, _ in parts)), min(created for _, created in parts), command)
        for command, parts in made.items()
    ]


def _history(folder: Path) -> list[dict[str, Any]]:
    path = folder / HISTORY
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise ModelFolderError(f"{path} is damaged: {error}") from error
    if not all(isinstance(line, dict) for line in lines):
        raise ModelFolderError(f"{path} is damaged: a line is not an object")
    return lines


def _thumbnail(path: Path) -> str:
    """An image as a data URI, no larger than a page needs."""
    try:
        image = decoding.decode(decoding.read_bytes(path))
    except ImageError as error:
        raise UsageError(f"the gallery's {path} {error}") from error
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
