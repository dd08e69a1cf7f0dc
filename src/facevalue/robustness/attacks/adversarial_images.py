"""Writes adversarial images as files, without loss, with a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from facevalue.data.dataset import ImageDataset
from facevalue.errors import UsageError
from facevalue.robustness.attacks.base import AttackResult
from facevalue.robustness.attacks.examples import pixels_of
from facevalue.robustness.attacks.threat import Threat
from facevalue.support import files, names, spreadsheet
from facevalue.support.formats import eps_text

TABLE = "images.csv"
_COLUMNS = "file source attack norm eps label clean_decision decision success distance".split()


def check_free(folder: Path) -> None:
    """Check, before the attacks run, that adversarial images can be written to ``folder``.

    Raises
    ------
    UsageError
        The path is not an empty or new folder, or cannot be created.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder; adversarial images go into a new one")
    files.check_writable(folder)


class AdversarialFolder:
    """Adversarial network inputs as ``ATTACK-NORM-EPS/CLASS/NUMBER-NAME.png``, and ``images.csv``.

    All attacked images are written, whether the attack succeeded or not, under their true class. So each
    ``ATTACK-NORM-EPS`` has one folder per class, and accuracy on it is the robust accuracy under that attack.
    """

    def __init__(self, folder: Path, dataset: ImageDataset) -> None:
        self._folder, self._images = folder, dataset
        self._rows: list[list[object]] = []
        often = Counter(map(names.folded, dataset.classes))
        self._classes = [
            f"{i:02d}" if _unusable_as_folder(name) or often[names.folded(name)] > 1 else name
            for i, name in enumerate(dataset.classes)
        ]

    def add(self, attack: str, threat: Threat, first: int, result: AttackResult) -> None:
        """Write the images of one batch; ``first`` is the position of its first image in the dataset."""
        name = re.sub(r"[^\w.-]+", "_", f"{attack}-{threat.norm}-{eps_text(threat.eps, threat.norm)}".replace(")", ""))
        classes = self._images.classes
        for i, image in enumerate(result.adversarial):
            source = Path(self._images.names[first + i])
            label = int(result.labels[i])
            stem = re.sub(r"[^\w.-]", "_", source.stem, flags=re.ASCII)[:60]
            path = Path(name) / self._classes[label] / f"{first + i:06d}-{stem}.png"
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels_of(image)).save(self._folder / path)
            self._rows.append(
                [
                    *(path.as_posix(), files.as_text(str(source)), attack, threat.norm, f"{threat.eps:.6g}"),
                    *(classes[label], classes[int(result.clean_decisions[i])], classes[int(result.decisions[i])]),
                    *(bool(result.success[i]), f"{float(result.distances[i]):.6g}"),
                ]
            )

    def finish(self) -> None:
        """Write the table."""
        with spreadsheet.writing(self._folder / TABLE, _COLUMNS) as write:
            for row in self._rows:
                write(dict(zip(_COLUMNS, row, strict=True)))


@contextmanager
def saved(folder: Path, dataset: ImageDataset) -> Iterator[AdversarialFolder]:
    """An :class:`AdversarialFolder` that appears at ``folder`` only if the block ends without an error."""
    check_free(folder)
    with files.replacing_folder(folder) as partial:
        made = AdversarialFolder(partial, dataset)
        yield made
        made.finish()


def _unusable_as_folder(name: str) -> bool:
    """Whether a class name is not a valid folder name on every system."""
    return names.fault(name) != "" or len(name.encode(errors="replace")) > 200
