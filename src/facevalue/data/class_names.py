"""Images whose classes have other names than the model's: read them under the model's names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from facevalue.data.manifest import Manifest
from facevalue.data.names_alike import label_of
from facevalue.data.scan import Data, scan
from facevalue.errors import UsageError

_LISTED = 10


def scanned_for(data: Data, classes: Collection[str], names: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of ``data`` under the class names of a model.

    Parameters
    ----------
    classes : the model's.
    names : class of ``data`` to class of the model; several may become one. Classes that are not named keep their name.

    Raises
    ------
    UsageError
        ``names`` has a class that ``data`` or the model lacks.
    DataError
        As :func:`facevalue.data.scan.scan`.
    """
    renamed = {label_of(old): new for old, new in (names or {}).items()}
    manifest = scan(data, classes=[*classes, *renamed])
    if not renamed:
        return manifest
    own = sorted(set(manifest.table["label"]))
    both = f"the classes of {manifest.source} are {listed(own)}; those of the model are {listed(classes)}"
    for old, new in renamed.items():
        if old not in own:
            raise UsageError(f"`classes`: {manifest.source} has no class {old!r}; {both}")
        if new not in classes:
            raise UsageError(f"`classes`: the model has no class {new!r}; {both}")
    return manifest.changed(label=manifest.table["label"].map(lambda label: renamed.get(label, label)))


def listed(classes: Collection[str]) -> str:
    """The names, or the first ones if there are many.

    >>> listed(["human", "object"])
    'human, object'
    """
    shown = list(classes)[:_LISTED]
    more = len(classes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
