"""The images that controls of sources are measured on: classes, sources and folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facevalue.data.audit.cross_validation import Folds, grouped_folds
from facevalue.evaluation.ridge import Floats, Ints
from facevalue.evidence.findings import NAMED, named

FEWEST = 10
"""Images that a source must have to count."""

MOST = 800
"""Images that are used, evenly from the sources."""

MOST_SOURCES = 20
"""Sources of a class that are used at most: those with most images. With many classes it is fewer, but at least two."""

MOST_CLASSES = MOST // FEWEST
"""With more classes there are no controls."""

FOLDS = 5


@dataclass(frozen=True, eq=False)
class SourceSample:
    """Which images to use.

    Attributes
    ----------
    places : positions of the images, ascending.
    small : sources with fewer than :data:`FEWEST` images, with their number.
    untold : what is left out, and why no control is possible, in words.
    possible : whether every class has a source, and there are two classes.
    """

    places: Ints
    small: dict[str, int]
    untold: tuple[str, ...]
    possible: bool


def sample(labels: Sequence[str], sources: Sequence[str], seed: int = 0, most: int = MOST) -> SourceSample:
    """At most ``most`` images, evenly from the sources; the draw depends only on ``seed``.

    Parameters
    ----------
    labels, sources : (n,) the class and the source of each image; "" where the source is not known.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for place, cell in enumerate(zip(labels, sources, strict=True)):
        cells.setdefault(cell, []).append(place)
    unknown = sum(len(places) for (_, source), places in cells.items() if not source)
    known = {cell: places for cell, places in sorted(cells.items()) if cell[1]}
    small = {f"{label}/{source}": len(p) for (label, source), p in known.items() if len(p) < FEWEST}
    large = {cell: places for cell, places in known.items() if len(places) >= FEWEST}
    untold = [f"{unknown} images have no source"] if unknown else []
    if small:
        text = "source has" if len(small) == 1 else "sources have"
        untold.append(f"{len(small)} {text} fewer than {FEWEST} images and cannot be judged: {named(list(small))}")
    kept: dict[tuple[str, str], list[int]] = {}
    classes = sorted(set(labels))
    if len(classes) > MOST_CLASSES:
        untold.append(f"{len(classes)} classes are too many for controls of sources, which take at most {MOST_CLASSES}")
    most_sources = max(2, min(MOST_SOURCES, most // (FEWEST * len(classes)))) if classes else 0
    for label in classes if len(classes) <= MOST_CLASSES else ():
        own = sorted((cell for cell in large if cell[0] == label), key=lambda cell: -len(large[cell]))
        if len(own) > most_sources:
            untold.append(f"of the {len(own)} sources of {label!r} only the {most_sources} with most images are used")
        if not own:
            untold.append(f"no source of {label!r} has at least {FEWEST} images, so nothing can be told")
        kept.update({cell: large[cell] for cell in own[:most_sources]})
    found_labels = {label for label, _ in kept}
    possible = len(found_labels) >= 2 and found_labels == set(labels)
    cap = _even([len(places) for places in kept.values()], most)
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(places)[:cap] for _, places in sorted(kept.items())]
    places = np.sort(np.concatenate(drawn)).astype(np.int64) if drawn else np.empty(0, np.int64)
    return SourceSample(places, small, tuple(untold), possible)


def _even(counts: Sequence[int], most: int) -> int:
    """The most images per source so that all together are at most ``most``, and at least :data:`FEWEST`."""
    low, high = FEWEST, max(counts, default=FEWEST)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(n, middle) for n in counts) <= most else (low, middle - 1)
    return low


@dataclass(frozen=True, eq=False)
class SourceImages:
    """n images with their class and their source.

    A source of two classes (one camera for both) counts once in each, and is left out of both together.

    Attributes
    ----------
    classes : names of the classes.
    names : (m,) names of the sources; :attr:`class_of` is (m,) their class.
    y, s : (n,) class and source of each image, as numbers.
    groups : (n,) number of the group of each image.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    class_of: Ints
    y: Ints
    s: Ints
    groups: Ints

    @classmethod
    def of(
        cls, classes: Sequence[str], labels: Sequence[str], sources: Sequence[str], groups: Sequence[object]
    ) -> SourceImages:
        """From the class, the source and the group of each image; an empty group is the image itself."""
        y = np.array([list(classes).index(label) for label in labels], np.int64)
        cells = sorted(set(zip(y.tolist(), sources, strict=True)))
        place = {cell: i for i, cell in enumerate(cells)}
        s = np.array([place[cell] for cell in zip(y.tolist(), sources, strict=True)], np.int64)
        own = np.array([str(group) or f"image {i}" for i, group in enumerate(groups)])
        return cls(
            classes=tuple(classes),
            names=tuple(source for _, source in cells),
            class_of=np.array([label for label, _ in cells], np.int64),
            y=y,
            s=s,
            groups=np.unique(own, return_inverse=True)[1].astype(np.int64),
        )

    @cached_property
    def counts(self) -> Ints:
        """(m,) images of each source."""
        return np.bincount(self.s, minlength=len(self.names))

    def named(self, source: int) -> NDArray[np.bool_]:
        """(n,) whether an image is of a source with this one's name."""
        alike = np.array([name == self.names[source] for name in self.names])
        found: NDArray[np.bool_] = alike[self.s]
        return found

    @cached_property
    def weights(self) -> Floats:
        """(n,) weights with which every source counts equally."""
        found: Floats = 1.0 / self.counts[self.s]
        return found

    @cached_property
    def whole_groups(self) -> bool:
        """Whether every source has enough groups to keep each on one side of a fold."""
        return all(len(np.unique(self.groups[self.s == i])) >= FOLDS for i in range(len(self.names)))

    @cached_property
    def folds(self) -> Folds:
        """Folds with about the same share of every source. A source that is one group is divided by its images."""
        units = self.groups if self.whole_groups else np.arange(len(self.y))
        return grouped_folds(self.s, units, FOLDS)


def too_few(images: SourceImages) -> list[str]:
    """What cannot be told because a class has a single source, in words."""
    by_class = np.bincount(images.class_of, minlength=len(images.classes))
    single = [images.classes[c] for c in np.flatnonzero(by_class < 2)]
    if not single:
        return []
    more = f" and {len(single) - NAMED} more classes" if len(single) > NAMED else ""
    shown = ", ".join(repr(name) for name in single[:NAMED])
    return [
        f"{shown}{more}: only one source, so that its source and its class are the same thing; whether other sources "
        "are recognised cannot be told (it takes a second source)"
    ]
