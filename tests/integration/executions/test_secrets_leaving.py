"""Secrets that leave: a far end gets them in full, the database has them nowhere in plain."""

import pytest
from django.db import connection

from accounts import secret_store
from accounts.models import User
from executions.models import ComponentRun
from tests.integration.executions.conftest import Doorbells, linear, start
from tests.stand_ins import http_receiver

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "correct-horse-battery-staple"


def test_a_far_end_gets_the_value_and_no_table_holds_it(alice: User, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="token", value=VALUE)
    with http_receiver() as receiver:
        secret_store.create_secret(owner=alice, name="hook", value=receiver.url)
        config = {"url": "{{ secrets.hook }}", "message": "the token is {{ secrets.token }}"}
        execution = start(alice, linear({"id": "call", "type": "notification", "config": config}))
        doorbells.work()
    ((path, _, body),) = receiver.seen
    assert (path, body) == ("/hook/s3cr3t", {"text": f"the token is {VALUE}"})
    assert ComponentRun.objects.get(execution=execution).output == {"status_code": 200}
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            stored = " ".join(text for (text,) in cursor.fetchall())
            assert VALUE not in stored, table
            assert "s3cr3t" not in stored, table


def test_the_error_of_a_query_tells_no_url(alice: User, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="db", value="postgresql://someone:hunter22@127.0.0.1:1/somewhere")
    config = {"connection": "db", "query": "SELECT :v AS v", "parameters": {"v": "{{ secrets.db }}"}}
    query = {"id": "q", "type": "database_query", "config": config}
    execution = start(alice, linear(query))
    doorbells.work()
    error = ComponentRun.objects.get(execution=execution).error
    assert error == {"code": "COMPONENT_ERROR", "message": "connection: the server could not be connected to"}
