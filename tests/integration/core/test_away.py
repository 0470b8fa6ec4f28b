"""Which of PostgreSQL's errors say that it is away, and which that one statement did not succeed."""

import pytest
from django.db import Error, connection, transaction

from core.connections import is_away, may_pass

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("state", "passes", "away"),
    [
        ("57P01", True, True), ("53300", True, True), ("08006", True, True), ("25006", True, True),
        ("25P03", True, True), ("40P01", True, False), ("40001", True, False), ("55P03", True, False),
        ("57014", True, False), ("54001", True, False), ("23505", False, False), ("42P01", False, False),
        ("XX000", False, False),
    ],
)  # fmt: skip
def test_an_error_is_told_by_its_state(state: str, passes: bool, away: bool) -> None:
    with pytest.raises(Error) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{state}'; END $$")
    assert (may_pass(raised.value), is_away(raised.value)) == (passes, away)
