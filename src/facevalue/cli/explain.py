"""``facevalue explain``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from typer import Argument, Option

from facevalue.cli.common.output import Json, deliver, table
from facevalue.cli.common.parsing import words

if TYPE_CHECKING:
    from facevalue.evidence.records import ExplanationFigures
    from facevalue.explanations.run import Explanations

EXAMPLE = "facevalue explain model photo.jpg -o explained --method gradcam"


def run(
    model: Annotated[Path, Argument(metavar="MODEL", help="A model folder.")],
    images: Annotated[list[Path], Argument(metavar="IMAGE...", help="Images, or folders of them.")],
    output: Annotated[Path, Option("--output", "-o", metavar="DIR", help="The folder to write.")],
    method: Annotated[
        str,
        Option(
            metavar="NAME",
            help="gradcam, gradcam++, hirescam, heat, integrated-gradients, occlusion, attention-rollout or"
            " feature-maps; several separated by commas, or all, are drawn side by side.",
        ),
    ] = "gradcam",
    faithfulness: Annotated[
        bool,
        Option(
            "--faithfulness",
            help="Also measure insertion, deletion and weight randomisation on these images (see evaluate"
            " --explanations).",
        ),
    ] = False,
    json: Json = None,
) -> None:
    """Draw which parts of an image led to the prediction, and measure how faithful the drawing is."""
    from facevalue.api.explain import explain

    names = words(method, "--method")
    explained = explain(model, images, output, method=names[0] if len(names) == 1 else names, faithfulness=faithfulness)
    deliver(
        explained.to_dict(),
        json,
        *map(str, explained.files),
        *_tables(explained),
        *(f"left out: {bad['path']} {bad['reason']}" for bad in explained.unreadable),
        *(f"method left out: {why}" for why in explained.refused.values()),
        *_count(explained),
    )


def explanation_table(results: Sequence[ExplanationFigures], title: str = "") -> Table:
    """One row per method, the most faithful first."""
    columns = ("method", "heat n", "insertion", "deletion", "gain", "95 %", "rank correlation", "seconds an image")
    rows = [
        (
            r.method,
            r.n,
            r.insertion,
            r.deletion,
            _signed(r.gain),
            "-" if r.gain_ci is None else f"{_signed(r.gain_ci[0])} to {_signed(r.gain_ci[1])}",
            _signed(r.rank_correlation),
            None if r.seconds_per_image is None else f"{r.seconds_per_image:.3f}",
        )
        for r in sorted(results, key=lambda r: -1.0 if r.gain is None else r.gain, reverse=True)
    ]
    return table(title, columns, rows)


def _tables(explained: Explanations) -> Iterable[Table]:
    if explained.by_method:
        rows = [(name, f.n, _signed(f.drop_hot), _signed(f.drop_random)) for name, f in explained.by_method.items()]
        yield table("", ("method", "heat n", "drop hot", "drop random"), rows)
    if explained.measured:
        yield explanation_table(explained.measured)


def _count(explained: Explanations) -> Iterable[str]:
    left_out, n = len(explained.unreadable), len(explained.images)
    if left_out:
        yield f"explained {n} of {n + left_out} images"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
