"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

Data = Annotated[
    Path, Argument(metavar="DATA", help="One folder per class, a folder with train/ and test/, or a manifest.")
]
Model = Annotated[Path, Option("--output", "-o", metavar="MODEL", help="The model folder to write.")]
Groups = Annotated[
    str | None,
    Option(metavar="HOW", help="Which images stay in one split: parent, stem:REGEX, image, or a manifest's column."),
]
Settings = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Change one setting of the recipe; may be repeated."),
]
Network = Annotated[str | None, Option(metavar="NAME", help="A network of facevalue or of timm.")]
Weights = Annotated[str | None, Option(metavar="FILE", help="A .safetensors or .pth file, hub, or none.")]
Strangers = Annotated[
    list[Path] | None,
    Option(metavar="FOLDER", help="Images that the model must refuse; may be repeated, one folder per kind."),
]
Size = Annotated[int | None, Option(min=8, metavar="PIXELS", help="Side of the network input.")]
MaxError = Annotated[
    float | None,
    Option(
        metavar="RATE",
        help="Largest error among answered images, promised with 95 % confidence; the model abstains from all others.",
    ),
]
MaxFalsePositive = Annotated[
    float | None,
    Option(
        metavar="RATE",
        help="Largest share of the negatives of each source that are called positive, promised with 95 % confidence.",
    ),
]
Classes = Annotated[
    list[str] | None,
    Option(
        "--classes",
        metavar="OLD=NEW,...",
        help="The model's class for folders or labels with another name, such as persons=human,men=human.",
    ),
]
Resume = Annotated[
    bool,
    Option(
        "--resume",
        help="Go on with a stopped run, as is done anyway if its settings are the same; say so if there is none.",
    ),
]
Fresh = Annotated[bool, Option("--fresh", help="Remove a stopped run of the same output, and start over.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace an existing model folder.")]
RecipesSeed = Annotated[
    int | None,
    Option(
        "--seed", min=0, metavar="N", help="Seed of random draws, for reproducible results; by default the recipe's, 0."
    ),
]
Stable = Annotated[
    int | None,
    Option(
        "--stable",
        min=0,
        metavar="K",
        help="Make each answer from K versions of the image, 2 to 7, and abstain where they disagree; 0 for one.",
    ),
]
Gate = Annotated[
    Literal["face", "none"] | None,
    Option("--gate", help="Look for a face first, or not; by default as the model was trained."),
]
GateModel = Annotated[
    Path | None,
    Option("--gate-model", metavar="FILE", help="The face detector's file; by default the model folder's own."),
]
TrustList = Annotated[
    Path | None,
    Option(
        "--trust-list",
        metavar="FILE.pem",
        help="Certificates of authorities that vouch for who signed Content Credentials.",
    ),
]
