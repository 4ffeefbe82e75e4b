"""How a chapter declares its knobs, and what is accepted for one."""

from __future__ import annotations

import operator

import hypothesis
import hypothesis.strategies as st
import pytest

from specbias.parameters import Parameter

numbers = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)


@hypothesis.given(numbers, numbers, numbers, st.booleans(), st.booleans())
def test_ranges_include_or_exclude_their_ends(value, low, high, above, below):
    allowed = f"[{low}{'<' * above}..{'<' * below}{high}]"
    inside = (operator.lt if above else operator.le)(low, value)
    inside &= (operator.lt if below else operator.le)(value, high)
    parameter = Parameter("rate", "float", 1.0, f"step size {allowed}")
    if inside:
        assert parameter.read(value) == value
    else:
        with pytest.raises(ValueError, match=r"rate=.*: allowed is float in"):
            parameter.read(value)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("int", "12", 12),
        ("int", "1_000", 1000),
        ("int", -3, -3),
        ("float", 2, 2.0),
        ("float", "1e-3", 1e-3),
        ("bool", "true", True),
        ("bool", False, False),
        ("str", "12", "12"),
        ("str", "", ""),
        ("list[int]", "1,2", [1, 2]),
        ("list[int]", "[1, 2]", [1, 2]),
        ("list[int]", "", []),
        ("list[float]", [1, 0.5], [1.0, 0.5]),
    ],
)
def test_values_are_read_as_declared(kind, given, expected):
    value = Parameter("knob", kind, None).read(given)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "1.0"),
        ("int", 1.0),
        ("int", True),
        ("int", ""),
        ("float", "nan"),
        ("float", "inf"),
        ("float", True),
        ("float", "fast"),
        ("bool", "yes"),
        ("bool", 1),
        ("str", 3),
        ("list[int]", "1,2.5"),
        ("list[int]", 1),
        ("list[float]", "1,,2"),
    ],
)
def test_other_values_are_refused_in_one_line(kind, given):
    with pytest.raises(ValueError, match=r"\Aknob=.*: allowed is [^\n]+\Z"):
        Parameter("knob", kind, None).read(given)


def test_choices_and_lists_of_ranges():
    device = Parameter("device", "str", "auto", "where to compute [auto | cpu | cuda]")
    assert device.read("cuda") == "cuda"
    assert (device.allowed, device.description) == ("auto | cpu | cuda", "where to compute")
    seeds = Parameter("seeds", "list[int]", [0], "seeds [0..9]")
    assert seeds.read("0,9") == [0, 9]
    with pytest.raises(ValueError, match=r"seeds=0,10: allowed is a list of int .* in 0\.\.9"):
        seeds.read("0,10")
    assert Parameter("order", "int", 2, "order [2 | 4]").read("4") == 4


def test_a_bracket_that_is_no_rule_belongs_to_the_help():
    knob = Parameter("width", "int", 3, "as in the paper [Basri 2019]")
    assert (knob.allowed, knob.description) == ("", "as in the paper [Basri 2019]")


def test_a_malformed_range_is_refused():
    with pytest.raises(ValueError, match=r"1\.\.ten"):
        Parameter("width", "int", 3, "width [1..ten]").read(3)
