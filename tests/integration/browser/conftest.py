"""One server for all windows."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web import Web, web_server

# A PostgreSQL that stands still for a second leaves out no panel.
_PATIENT = "from config import dashboard; dashboard._PANEL_MS = 60_000; dashboard._ANSWER_SECONDS = 60"


@pytest.fixture(scope="session")
def web(django_db_setup: None, django_db_blocker: Any) -> Iterator[Web]:
    """In the end it has logged no fault of its own."""
    with django_db_blocker.unblock(), web_server(before=_PATIENT) as server:
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()
