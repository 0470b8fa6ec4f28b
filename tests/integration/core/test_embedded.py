"""The PostgreSQL that `make run` starts."""

import os

import psycopg
import pytest


@pytest.mark.parametrize(
    ("name", "value"),
    [("random_page_cost", "1.1"), ("max_parallel_workers_per_gather", "0"),
     ("idle_in_transaction_session_timeout", "1min")],
)  # fmt: skip
def test_its_database_is_set_as_the_platform_needs_it(name: str, value: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        assert database.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
