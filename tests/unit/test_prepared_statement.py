"""Parameters by name, as PostgreSQL numbers them."""

import pytest

from core.prepared_statement import numbered


def test_a_name_has_one_number_however_often_it_stands_there() -> None:
    assert numbered("SELECT %(b)s, %(a)s::text, %(b)s") == (b"SELECT $1, $2::text, $1", ("b", "a"))


def test_two_percent_signs_are_one() -> None:
    assert numbered("SELECT format('%%s', 5 %% %(a)s)") == (b"SELECT format('%s', 5 % $1)", ("a",))


@pytest.mark.parametrize("sql", ["SELECT 5 % 2", "LIKE 'a%'", "SELECT %s", "SELECT %(a)b", "SELECT 5 %\n2"])
def test_a_sign_that_starts_no_placeholder_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match=r"A % that is no placeholder, at \d+: write %%"):
        numbered(sql)


def test_a_statement_is_read_once() -> None:
    assert numbered("SELECT %(once)s") is numbered("SELECT %(once)s")
