"""JSON text of values: what is written reads back as it was."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.json_text import dumps, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(10**40, 10**41 - 1).map(lambda n: n | 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_reads_back_as_it_was(value: Any) -> None:
    assert repr(loads(dumps(value))) == repr(value)
    assert repr(loads(dumps(value).decode())) == repr(value)


@pytest.mark.parametrize("n", [2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**19 + 1, 10**400 + 1])
def test_integers_about_the_bounds_of_64_bits_are_exact(n: int) -> None:
    for value in (n, -n, -n - 1):
        assert repr(loads(f"[{value}]")) == repr([value])


@pytest.mark.parametrize("x", [1e20, 6.022e23, -6.022e23, 1.7976931348623157e308, 1e-300])
def test_a_float_that_jsonb_wrote_without_its_exponent_is_a_float(x: float) -> None:
    assert repr(loads(format(Decimal(repr(x)), "f"))) == repr(x)


def test_long_digits_in_a_text_are_text() -> None:
    assert loads('{"of":"12345678901234567890123"}') == {"of": "12345678901234567890123"}
