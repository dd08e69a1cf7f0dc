"""Run every notebook with the project as it is, on the small data that they make themselves, and keep the outputs.

``make notebooks`` calls this. Each notebook runs from its first cell in an empty folder, so its outputs hold relative
paths only; a path of this machine in an output is an error, and nothing is written.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
SECONDS = 600
"""Longest that one cell may take."""

WIDGET = "application/vnd.jupyter.widget-view+json"
"""A widget's view needs a running kernel; its text stays."""

_FOLDERS = "home|root|tmp|Users|var|work|opt|mnt|private"
LOCAL = re.compile(rf"(?<![\w.])/(?:{_FOLDERS})/|[A-Za-z]:\\\\?(?:Users|Windows)|site-packages")
"""Paths of one machine."""


def executed(path: Path) -> Any:
    """The notebook with new outputs; its own metadata stay as they are."""
    notebook = nbformat.read(path, as_version=4)
    own = dict(notebook.metadata)
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
        ).execute()
    notebook.metadata.clear()
    notebook.metadata.update(own)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
    found = local_paths(notebook.cells)
    if found:
        raise SystemExit(f"{path.name}: an output holds a path of this machine: {found[0]}")
    return notebook


def local_paths(cells: list[dict[str, Any]]) -> list[str]:
    """The lines of outputs that hold a path of one machine."""
    lines = []
    for cell in cells:
        for output in cell.get("outputs", ()):
            texts = [output.get("text", ""), *output.get("traceback", ())]
            texts += [text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")]
            for text in texts:
                joined = "".join(text) if isinstance(text, list) else str(text)
                lines += [line for line in joined.splitlines() if LOCAL.search(line)]
    return lines


def main(names: list[str]) -> None:
    """Run the notebooks with these names, or all."""
    os.environ |= {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryDirectory(prefix="cache-") as cache:
        os.environ["FACEVALUE_CACHE"] = cache
        for path in sorted(FOLDER.glob("*.ipynb")):
            if not names or path.stem in names:
                nbformat.write(executed(path), path)
                print(f"{path.relative_to(ROOT)}: done")


if __name__ == "__main__":
    main(sys.argv[1:])
