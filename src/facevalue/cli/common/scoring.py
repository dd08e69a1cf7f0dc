"""``predict --parquet FOLDER``: any number of images into a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Option

from facevalue.cli.common.output import deliver
from facevalue.cli.common.shell import FAILED
from facevalue.errors import UsageError
from facevalue.support import files

Engine = Annotated[
    Literal["auto", "openvino", "onnxruntime", "ray"] | None,
    Option(
        "--engine",
        help="With a folder for --parquet: what runs the network; auto is openvino where it is installed, ray is a"
        " cluster.",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16"] | None,
    Option("--precision", help="With a folder for --parquet: bf16 where the card says that answers stay the same."),
]
ShardOf = Annotated[
    str | None,
    Option("--shard", metavar="I/N", help="With a folder for --parquet: score only part I of N of the images."),
]
PartImages = Annotated[
    int | None,
    Option("--part-images", min=1, metavar="N", help="With a folder for --parquet: most images in a part."),
]


@dataclass(frozen=True)
class Parts:
    """The options that need a folder for ``--parquet``; ``None`` where one is not given."""

    engine: str | None
    precision: str | None
    shard: str | None
    part_images: int | None

    @property
    def given(self) -> dict[str, Any]:
        """Those that are given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def refuse(self, paths: Sequence[str]) -> None:
        """Say that one of them, or an address, needs a folder for ``--parquet``."""
        for name in self.given:
            raise UsageError(f"`{name}` needs `parquet` with a folder, such as --parquet predictions")
        for path in paths:
            if "://" in path:
                raise UsageError(f"{path} is an address; give `parquet` with a folder, such as --parquet predictions")


def check_file(target: Path) -> None:
    """Check that a file can be written, before the work."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder; for a folder of parts, choose a name without .parquet")
    files.check_writable(target)


def into_folder(
    model: Path,
    paths: Sequence[str],
    output: Path,
    parts: Parts,
    csv: Path | None,
    json: Path | None,
    opening: Mapping[str, Any],
) -> None:
    """Score into a folder, and print what became of the images. Exit code 1 only if none could be read."""
    if csv is not None:
        raise UsageError("`csv` is one file; it cannot be given with a folder for `parquet`")
    from facevalue.runtime.scoring.run import predict_to_parquet

    done = predict_to_parquet(model, paths, output, **parts.given, **opening)
    rate = f"; {done.scored / done.seconds:,.0f} images/s with {done.engine}" if done.scored else ""
    here = f" ({done.images - done.scored:,} were there already)" if done.scored < done.images else ""
    lines = [
        f"{done.images:,} image{'s' * (done.images != 1)}{here}: {done.answered:,} answered, "
        f"{done.abstained:,} abstained, {done.unreadable:,} cannot be read{rate}",
        f"{output}: {done.rows:,} row{'s' * (done.rows != 1)} in {done.parts:,} part{'s' * (done.parts != 1)}",
    ]
    deliver(done.to_dict(), json, *lines)
    if done.images and done.unreadable == done.images:
        raise typer.Exit(FAILED)
