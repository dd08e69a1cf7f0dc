"""Every figure that a table shows has a meaning of one line, printed on request."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import typer
from rich.table import Table

from facevalue.cli import app, attack, calibrate, compare, evaluate, finetune, train, tune
from facevalue.cli.common import legend, output
from facevalue.cli.common.counts import counts_table
from facevalue.cli.common.legend import LEGEND, meaning_of, rows_of
from facevalue.cli.common.shell import run
from facevalue.cli.data import scan

PLAIN = {
    # What is measured, and not a figure.
    *("attack", "class", "classes", "corruption", "fact", "finding", "images", "largest class", "model", "network"),
    *("path", "label", "person", "reason or error", "setting", "smallest class", "trial", "value", "face", "not-face"),
    *("", "fit.epochs", "optimizer.lr"),
}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Table]:
    """The tables that commands print meanwhile."""
    tables: list[Table] = []
    real = output.table

    def noted(*arguments: object, **options: object) -> Table:
        tables.append(real(*arguments, **options))  # type: ignore[arg-type]
        return tables[-1]

    for module in (attack, calibrate, compare, evaluate, finetune, tune, scan):
        if hasattr(module, "table"):
            monkeypatch.setattr(module, "table", noted)
    return tables


def test_no_heading_is_without_a_meaning(
    lfw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[Table], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["network.options={widths=[4,8]}"]
    train.run(lfw, Path("m"), recipe="scratch", size="24", epochs=1, changes=small)
    evaluate.run(Path("m"), lfw, slices=["stem:^(.)"], corruptions=True, certify=True, samples=10, limit=4)
    attack.run(Path("m"), lfw, target="face", limit=4)
    compare.run([Path("m")])
    calibrate.run(Path("m"), lfw, Path("c"))
    tune.run(lfw, Path("s"), trials=1, epochs=1, size=24, changes=small, search=["optimizer.lr=1e-3..1e-2"])
    scan.run(lfw)
    shown += [counts_table({"train": {"face": 3, "not-face": 4}}, {"train": 5})]
    headings = {str(column.header) for table in shown for column in table.columns}
    assert len(headings) > 40
    unknown = {heading for heading in headings if meaning_of(heading) is None} - PLAIN - {"stem:^(.)"}
    assert unknown == set()
    capsys.readouterr()
    command = typer.main.get_command(app).main
    assert run(command, ["evaluate", "m", str(lfw), "--no-save", "--explain-figures"]) == 0
    table, _, explained = capsys.readouterr().out.partition("what the figures mean")
    for figure in ("auroc", "ece", "brier", "answered", "accuracy of those"):
        assert figure in table
        assert LEGEND[figure] in explained
    assert run(command, ["evaluate", "m", str(lfw), "--no-save"]) == 0
    assert capsys.readouterr().out == table
    assert not legend.is_asked()


def test_lines_are_short_and_placeholders_are_found() -> None:
    assert all(len(meaning) <= 125 and "\n" not in meaning for meaning in LEGEND.values())
    assert meaning_of("robust 4/255") == LEGEND["robust EPS"]
    assert meaning_of("robust") == LEGEND["robust"]
    assert meaning_of("changed to cat") == LEGEND["changed to CLASS"]
    assert meaning_of("path") is None
    rows = rows_of([output.table("", ("setting", "value"), [("temperature", 1.5), ("model", "m")])])
    assert rows == [("temperature", LEGEND["temperature"])]


def test_the_reference_lists_them_all() -> None:
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).parents[2] / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert all(f"| `{figure}` | {meaning} |" in tool.figures() for figure, meaning in LEGEND.items())
