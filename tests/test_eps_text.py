"""An eps of 1/255 is read and shown as 1/255 everywhere: recipes, messages, policies, pages, plots and notebooks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard, NetworkFacts
from facevalue.evidence.policy import check_policy
from facevalue.evidence.provenance import Provenance
from facevalue.evidence.records import AttackFigures, AttackReport
from facevalue.images.preprocessing import Preprocessing
from facevalue.reports import plots
from facevalue.reports.model_page import flat, render
from facevalue.support.formats import eps_text
from facevalue.training.checkpoint import differences
from facevalue.training.recipe import built_in, read
from facevalue.training.search_space import to_toml


def card() -> ModelCard:
    row = AttackFigures(
        attack="pgd",
        norm="linf",
        eps=1 / 255,
        n=10,
        clean_accuracy=1.0,
        robust_accuracy=0.5,
        robust_ci=(0.2, 0.8),
        robust_accuracy_unrounded=0.5,
        confusion=((5, 5), (0, 0)),
        mean_distance=1 / 255,
        queries=0,
        seconds=0.0,
    )
    report = AttackReport(
        provenance=Provenance(n=10),
        classes=("a", "b"),
        clean_confusion=((10, 0), (0, 0)),
        results=(row, row.changed(eps=4 / 255)),
    )
    facts = NetworkFacts(name="x")
    return ModelCard(
        classes=("a", "b"),
        preprocessing=Preprocessing(size=8),
        network=facts,
        recipe={"adversarial": {"method": "pgd", "norm": "linf", "eps": 2 / 255}},
        evidence=(report,),
    )


def test_recipes_take_and_keep_fractions(tmp_path: Path) -> None:
    recipe = read("scratch", {"adversarial.method": "pgd", "adversarial.eps": "8/255"})
    assert recipe.adversarial.eps == 8 / 255
    text = to_toml(recipe.to_dict())
    assert 'eps = "8/255"' in text
    (tmp_path / "r.toml").write_text(text)
    assert read(str(tmp_path / "r.toml")) == recipe
    plain = read("scratch", {"adversarial.method": "pgd", "adversarial.norm": "l2", "adversarial.eps": 0.2})
    assert "eps = 0.2" in to_toml(plain.to_dict())
    for wrong in ("8/0", "eight", "1/2/3"):
        with pytest.raises(UsageError, match=r"adversarial\.eps as a number or as 4/255, but got"):
            read("scratch", {"adversarial.eps": wrong})
    for name in built_in():
        assert read(name).adversarial.eps == 4 / 255


def test_messages_and_policies(tmp_path: Path) -> None:
    before, now = ({"adversarial": {"eps": levels / 255}} for levels in (1, 2))
    assert differences(before, now) == ["adversarial.eps (1/255 then, 2/255 now)"]
    (tmp_path / "p.toml").write_text('[require.attack.pgd]\neps = "8/255"\nrobust = 0.9\n')
    (failed,) = check_policy(card(), tmp_path / "p.toml").failed
    assert failed.reason == "no pgd with linf at eps 8/255 or above on the card"


def test_pages_plots_and_notebooks() -> None:
    report = card().of_kind(AttackReport)[0]
    assert ("adversarial.eps", "2/255") in list(flat(card().recipe))
    page = render(card())
    for shown in (page, report._repr_html_()):
        assert "<td>1/255</td>" in shown
        assert "<td>4/255</td>" in shown
    axis = plots.accuracy_against_eps(report).axes[0]
    ticks = axis.xaxis.get_major_formatter()
    assert [ticks(value) for value in (0, 1, 4)] == ["0", "1/255", "4/255"]
    assert eps_text(report.results[0].eps) == "1/255"


def test_the_reference_gives_the_default_as_a_fraction() -> None:
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).parents[1] / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (line,) = [line for line in tool.recipes().splitlines() if line.startswith("| `adversarial.eps`")]
    assert line.endswith('| `"4/255"` |')
