"""File names that every system can hold, and classes that are folders on every system."""

from __future__ import annotations

import ntpath
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facevalue.data.names import class_folders, placed, tidy
from facevalue.errors import DataError
from facevalue.support.names import fault, folded, portable

WORDS = st.text() | st.sampled_from(["con", "NUL", "nul.tar", "COM1", "lpt9.x.y", "aux ", "a.", "..", " .", "é" * 200])


def holds(name: str) -> bool:
    """Windows's own rules, as Python's ``ntpath`` and Microsoft's «Naming Files, Paths, and Namespaces» have them."""
    plain = not any(c in '<>:"/\\|?*' or ord(c) < 32 for c in name) and name not in ("", ".", "..")
    reserved = getattr(ntpath, "isreserved", lambda name: PureWindowsPath(name).is_reserved())  # from Python 3.13 on
    return plain and name[-1] not in ". " and not reserved(name)


@given(WORDS)
def test_fault_finds_what_windows_forbids(name: str) -> None:
    if not holds(name):
        assert fault(name)


@given(WORDS, st.integers(8, 120))
def test_portable_names_can_be_held_and_stay_where_they_can(name: str, longest: int) -> None:
    made = portable(name, longest)
    assert holds(made)
    assert fault(made) == ""
    assert len(made.encode()) <= longest
    if (
        not fault(name)
        and len(name.encode("utf-8", "replace")) <= longest
        and name.encode("utf-8", "replace") == name.encode("utf-8", "surrogatepass")
    ):
        assert made == name


@given(WORDS)
def test_tidy_names_can_be_held_before_an_ending(name: str) -> None:
    assert holds(tidy(name) + ".png")
    assert holds(tidy(name))


def test_names_that_some_system_takes_for_equal() -> None:
    assert len({folded(name) for name in ("Café", "CAFÉ", "Cafe\u0301", "cafe\u0301")}) == 1
    assert folded("a") != folded("b")
    rows = [("train", "a", "", f"a/{key}.png") for key in ("x/Caf\u00e9", "y/cafe\u0301", "z/other")]
    assert len({folded(path) for path in placed(rows, ".png")}) == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog", "Cat"], "classes 'cat' and 'Cat' would share one folder on Windows and macOS"),
        (["caf\u00e9", "cafe\u0301"], "share one folder"),
        (["real", "real?"], r"class 'real\?' cannot be .* holds '\?'; rename it"),
        (["con", "pro"], "class 'con' .* is a device on Windows"),
        (["a", "b."], "ends in a dot or space"),
    ],
)
def test_classes_that_cannot_be_folders_everywhere_are_one_line(labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_folders(labels)


def test_prepare_makes_no_two_classes_one(image: object, tmp_path: Path) -> None:
    import facevalue as fv

    for label in ("Cat", "cat"):
        for i in range(3):
            image(tmp_path / "data" / label / f"{i}.png", i)  # type: ignore[operator]
    if len(list((tmp_path / "data").iterdir())) == 1:
        pytest.skip("this file system does not tell the two apart either")
    with pytest.raises(DataError, match="share one folder on Windows and macOS; rename one"):
        fv.prepare_data(tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out").exists()
