"""One function looks up names in every registry."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from facevalue.errors import UsageError
from facevalue.explanations import EXPLANATIONS
from facevalue.explanations import find as find_explanation
from facevalue.export import EXPORTERS
from facevalue.export import find as find_exporter
from facevalue.models.networks import NETWORKS
from facevalue.models.networks import find as find_network
from facevalue.robustness.attacks import ATTACKS
from facevalue.robustness.attacks import find as find_attack
from facevalue.robustness.defenses import DEFENSES
from facevalue.robustness.defenses import find as find_defense
from facevalue.support.registry import look_up


@pytest.mark.parametrize(
    ("find", "registry"),
    [
        (find_attack, ATTACKS),
        (find_defense, DEFENSES),
        (find_explanation, EXPLANATIONS),
        (find_exporter, EXPORTERS),
        (find_network, NETWORKS),
    ],
    ids=["attacks", "defenses", "explanations", "exporters", "networks"],
)
def test_a_family_finds_its_own_and_suggests_the_nearest(
    find: Callable[[str], Any], registry: Mapping[str, Any]
) -> None:
    for name, entry in registry.items():
        assert find(name) is entry
    name = next(iter(registry))
    with pytest.raises(UsageError, match=rf"there is no .* '{name}x' \(did you mean '{name}'"):
        find(name + "x")


def test_an_unrecognisable_name_lists_all() -> None:
    with pytest.raises(UsageError, match=r"^there is no colour 'qqq'; there are: red, green$"):
        look_up({"red": 1, "green": 2}, "qqq", "colour")
