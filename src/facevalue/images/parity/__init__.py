"""Drawn image files of every kind that people have, to compare two runtimes on: from file bytes to label."""

from facevalue.images.parity.files import FEWEST, ParityFile, first_of, one_per_kind, parity_files

__all__ = ["FEWEST", "ParityFile", "first_of", "one_per_kind", "parity_files"]
