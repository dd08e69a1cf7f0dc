"""The command that made a result is recorded without being passed as an argument."""

from __future__ import annotations

import threading
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import features

from facevalue.evidence.provenance import Provenance, asked_by, current_command, recorded, versions


@recorded
def verb(*args: object, **kwargs: object) -> Provenance:
    return Provenance.made(time.perf_counter(), 3, fingerprint="f", source="images", split="test", n=7)


def test_what_is_recorded() -> None:
    made = verb("model")
    assert (made.fingerprint, made.source, made.split, made.n, made.seed) == ("f", "images", "test", 7, 3)
    assert made.command == "facevalue.verb('model')"
    assert made.versions["facevalue"] == version("facevalue")
    assert made.versions["pillow"] == version("pillow")
    assert features.version_feature("libjpeg_turbo") in made.versions.values()
    assert made.created.endswith("+00:00")
    assert 0 <= made.seconds < 1


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((), {}, "facevalue.verb()"),
        ((Path("a b"),), {"eps": [0.5, 1]}, "facevalue.verb('a b', eps=[0.5, 1])"),
        (({"augment.flip": True},), {}, "facevalue.verb({'augment.flip': True})"),
        ((object(),), {"x": None}, "facevalue.verb(<object>, x=None)"),
        ((list(range(1000)),), {"data": b"secret"}, "facevalue.verb(<list>, data=<bytes>)"),
    ],
)
def test_a_python_call_as_text(args: tuple[object, ...], kwargs: dict[str, object], expected: str) -> None:
    assert verb(*args, **kwargs).command == expected


def test_the_outermost_command_counts_and_is_gone_afterwards() -> None:
    with asked_by("facevalue train images -o model"):
        assert verb().command == "facevalue train images -o model"
        with asked_by("inner"):
            assert current_command() == "facevalue train images -o model"
    assert current_command() == ""
    with pytest.raises(ZeroDivisionError), asked_by("fails"):
        raise ZeroDivisionError
    assert current_command() == ""


def test_another_thread_has_a_command_of_its_own() -> None:
    found: list[str] = []
    with asked_by("mine"):
        other = threading.Thread(target=lambda: found.append(current_command()))
        other.start()
        other.join()
    assert found == [""]


def test_versions_are_not_shared_between_records() -> None:
    made = verb()
    made.versions["python"] = "altered"
    assert versions()["python"] != "altered"
    assert verb().versions["python"] != "altered"
