"""``verify``: is a model folder what it says, here and now?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from facevalue.errors import FaceValueError, MissingExtraError, UsageError
from facevalue.evidence.card import CANARIES, CARD, ONNX, OUTPUTS, ModelCard
from facevalue.evidence.seals import changed_fields
from facevalue.evidence.signing import SIGNATURE, STATEMENTS, problems_of, statement_problems
from facevalue.evidence.verification import FolderCheck, Verification
from facevalue.runtime.canaries import check_canaries
from facevalue.runtime.predictor import Predictor
from facevalue.support import files, progress

if TYPE_CHECKING:
    from facevalue.data.scan import Data

_CHANGED = "{} was changed after facevalue wrote it"


def verify(
    model: Path | str,
    data: Data | None = None,
    *,
    key: Path | str | None = None,
    signature: Path | str | None = None,
) -> Verification:
    """Check a model folder: its files, its card, its predictions on this machine, and its signature.

    Without ``data`` this needs neither torch nor the images. Edits by hand and damage are found without a key. Only a
    signature finds a folder that somebody changed on purpose.

    Parameters
    ----------
    data : the model's data, or other labelled images: every evaluation on the card that was made on them is repeated.
    key : PEM file with the signer's public key.
    signature : by default ``model.sig`` in the folder.

    Raises
    ------
    UsageError
        The folder is not a model folder, or the key or signature cannot be read.
    """
    folder = Path(model)
    if signature is not None and key is None:
        raise UsageError("`signature` can only be verified with the signer's public key; name it with `key`")
    return Verification(model=str(model), checks=tuple(_checks(folder, data, key, signature)))


def _checks(
    folder: Path, data: Data | None, key: Path | str | None, signature: Path | str | None
) -> Iterator[FolderCheck]:
    path = folder / SIGNATURE if signature is None else Path(signature)
    if key is not None:
        if not path.is_file():
            raise UsageError(f"{path} does not exist, so there is no signature to verify")
        yield FolderCheck.of("signature", f"{path.name} by {key}", problems_of(folder, path, Path(key)))
    else:
        there = f"{path.name} was not verified; give the public key with `key`"
        text = there if path.is_file() else "the folder is not signed"
        yield FolderCheck(name="signature", passed=None, text=text)
    try:
        card = ModelCard.load(folder)
    except UsageError as error:
        if not (folder / CARD).is_file():
            raise
        yield FolderCheck.of("card", CARD, [str(error), *_changed(folder)])
        return
    yield FolderCheck.of("card", CARD, [_CHANGED.format(name) for name in card.altered])
    if key is not None and (folder / STATEMENTS).is_file():
        problems = statement_problems(folder, card, Path(key))
        yield FolderCheck.of("statements", f"{len(card.evidence)} evaluations and other evidence", problems)
    broken = _file_problems(folder, card)
    unknown = _unknown_files(folder, card)
    text = f"SHA-256 of {len(card.files)} files" + (f"; not on the card: {', '.join(unknown)}" if unknown else "")
    yield FolderCheck.of("files", text, broken)
    if ONNX in card.files and not any(ONNX in problem for problem in broken):
        yield _canaries(folder, card)
    if any(OUTPUTS in problem for problem in broken):
        yield FolderCheck(name="figures", passed=None, text=f"not computed again: {OUTPUTS} is missing or was changed")
    else:
        yield _figures(folder, card)
    if data is not None:
        from facevalue.api.common.repeated import repeated_evaluations

        yield repeated_evaluations(folder, data)


def _changed(folder: Path) -> list[str]:
    """The changed fields of a card that cannot be used, if it is JSON at all."""
    try:
        plain = json.loads((folder / CARD).read_bytes())
    except ValueError:
        return []
    return [_CHANGED.format(name) for name in changed_fields(plain)] if isinstance(plain, dict) else []


def _file_problems(folder: Path, card: ModelCard) -> list[str]:
    found = []
    for name, expected in progress.track(card.files.items(), "reading files", total=len(card.files)):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif files.sha256(path) != expected:
            found.append(f"{name} was changed or damaged: its SHA-256 is not the one on the card")
    return found


def _unknown_files(folder: Path, card: ModelCard) -> list[str]:
    """Files that neither the card nor ``sign`` accounts for, such as a gallery for the report."""
    known = {CARD, SIGNATURE, STATEMENTS, *card.files}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return sorted(there - known)


def _canaries(folder: Path, card: ModelCard) -> FolderCheck:
    if CANARIES not in card.files:
        return FolderCheck(name="canaries", passed=None, text="the folder holds none: it is of an earlier version")
    try:
        result = check_canaries(Predictor(card, folder / ONNX), folder / CANARIES)
    except FaceValueError as error:
        return FolderCheck.of("canaries", CANARIES, [str(error)])
    text = f"{result.n} images predicted on this machine; largest difference {result.largest_difference:.1g}"
    return FolderCheck.of("canaries", text, result.differing)


def _figures(folder: Path, card: ModelCard) -> FolderCheck:
    """Compute the figures of the evaluations again from the stored outputs."""
    if OUTPUTS not in card.files:
        text = "the folder keeps no outputs of single images: it was never evaluated, or is of an earlier version"
        return FolderCheck(name="figures", passed=None, text=text)
    try:
        from facevalue.api.common.recomputed import recomputed_figures

        return recomputed_figures(folder, card)
    except ModuleNotFoundError as error:  # pandas, pyarrow or scikit-learn
        missing = MissingExtraError.of(error)
        if missing is None:
            raise
        return FolderCheck(name="figures", passed=None, text=f"not computed again: {missing}")
