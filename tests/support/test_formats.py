"""Numbers are rounded so that they do not claim more than was measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facevalue.support.formats import eps_text, interval, number_in, percent


@given(st.floats(0, 1), st.integers(0, 2))
def test_a_percentage_is_all_or_nothing_only_where_the_rate_is(rate: float, digits: int) -> None:
    text = percent(rate, digits)
    if text[0] in "<>":
        assert min(rate, 1 - rate) < 1e-6
        return
    value = float(text.removesuffix(" %"))
    assert (value == 100) == (rate == 1)
    assert (value == 0) == (rate == 0)
    assert abs(value - 100 * rate) <= 0.5 * 10.0**-digits + 1e-9


def test_unknown_values_are_a_dash() -> None:
    assert (percent(None), percent(math.nan), percent(math.inf), interval(None)) == ("-", "-", "-", "-")


@pytest.mark.parametrize(("change", "text"), [(-0.05, "-5.0 %"), (-0.0004, "-0.04 %"), (-1e-9, "> -0.0001 %")])
def test_a_difference_may_be_negative(change: float, text: str) -> None:
    assert percent(change) == text


def test_an_interval_keeps_its_ends_apart_from_all_and_nothing() -> None:
    assert interval((0.0, 0.99996)) == "0.0 to 99.996 %"


@pytest.mark.parametrize("levels", [1, 8, 254])
def test_an_eps_is_typed_as_it_is_read(levels: int) -> None:
    assert eps_text(levels / 255) == f"{levels}/255"
    assert number_in(eps_text(levels / 255)) == levels / 255


def test_a_length_is_no_number_of_grey_levels() -> None:
    assert [eps_text(eps, "l2") for eps in (0.2, 0.25, 1.0, 2.0)] == ["0.2", "0.25", "1", "2"]
