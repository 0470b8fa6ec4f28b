"""The suite's servers, its plug-in, and a world for each test. Run it with `make faults`; `make test` leaves it out."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FAULTS = os.environ.get("APG_FAULTS") == "1"
collect_ignore_glob = [] if FAULTS else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is one of faults."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(autouse=True)
def fast_passwords() -> None:
    """Not here: the web server that checks them is a process of its own."""


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Any]:
    """The servers that the plug-in `tests.faults.servers` started, with the product's tables and the triggers."""
    from django.core.management import call_command
    from django.db import connection

    from tests.faults.invariants import HISTORY
    from tests.faults.servers import SERVERS

    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(HISTORY)
        yield SERVERS
        connection.close()


@pytest.fixture(scope="session")
def ledger() -> Any:
    """One effect ledger for all."""
    from tests.faults.harness import Ledger

    return Ledger()


@pytest.fixture
def world(servers: Any, ledger: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An account of its own with 100 slots; at the end nothing that it started may be left."""
    from django.db import connection

    from accounts.models import User
    from core.ids import new_id
    from executions.models import Worker
    from tests.conftest import PASSWORD
    from tests.faults.harness import World, seed
    from tests.faults.servers import PLUG_INS

    connection.close()
    servers.redis().flushall()
    # They are dead, and a new one may get the process id of one.
    Worker.objects.all().delete()
    name = new_id()
    user = User.objects.create_user(f"{name}@example.com", PASSWORD, username=name, tier="enterprise")
    path = os.pathsep.join([str(PLUG_INS), os.environ.get("PYTHONPATH", "")])
    chance = random.Random(f"{seed()}:{request.node.name}")
    world = World(servers, ledger, tmp_path, path, chance, user)
    yield world
    try:
        world.end()
    finally:
        connection.close()


@pytest.fixture(scope="session")
def figure() -> Callable[[str, str], None]:
    """`figure(name, text)`: a number to publish; printed at the end."""
    from tests.faults.servers import FIGURES

    return lambda name, text: FIGURES.__setitem__(name, text)
