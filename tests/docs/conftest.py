"""A server that pages' examples are pasted at, as the administrator of a fresh installation."""

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.api_keys import create_api_key
from accounts.models import User
from executions import maintenance
from tests.conftest import PASSWORD
from tests.docs.blocks import ROOT, Block, blocks_of, walk
from tests.integration.executions.conftest import Doorbells
from tests.integration.live.conftest import be_at_rest, doorbells, only_legal_moves, token_of, web
from tests.web import Web

__all__ = ["doorbells", "only_legal_moves", "web"]

ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Machine:
    """Where `make run` serves, as far as pages can tell."""

    url: str
    admin: User
    folder: Path

    @property
    def api_key(self) -> str:
        """The administrator's, for all that a key may do."""
        return create_api_key(owner=self.admin, name="docs", permissions=["*"])[1]

    @property
    def token(self) -> str:
        return token_of(self.admin)

    def paste(self, blocks: list[Block], **variables: str) -> list[str]:
        """What each block prints, after the quickstart's log-in where the page does not log in by itself."""
        login = [] if any("BASE=" in block.text for block in blocks) else [the_login()]
        replaced = {
            ADDRESS: self.url,
            "https://your-domain.com": self.url,
            "var/administrator_password": str(self.folder / "administrator_password"),
            **{name: value for name, value in variables.items() if name.startswith("<")},
        }
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "apg").write_text(f"#!{sys.executable}\nfrom apg_workflow.cli import main\n\nmain()\n")
        (programs / "apg").chmod(0o755)
        environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"),
            "HOST": self.url,
            **{name: value for name, value in variables.items() if not name.startswith("<")},
        }
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        return walk([*login, *blocks], replaced, environment, work)[len(login) :]


def the_login() -> Block:
    """The quickstart's block that logs in, which other pages go on from."""
    (login,) = (block for block in blocks_of("docs/quickstart.md") if "BASE=" in block.text)
    return login


@pytest.fixture
def worker(doorbells: Doorbells) -> Iterator[None]:
    """Runs components and wakes what waits, all the while."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.wait(0.02):
                doorbells.work()
                maintenance.wake_due()
                # A message that Valkey did not take is sent again.
                maintenance.ring_unclaimed()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failed, failed


@pytest.fixture
def machine(
    web: Web, transactional_db: None, empty_redis: None, worker: None, settings: Any, tmp_path: Path
) -> Iterator[Machine]:
    """Up, with its administrator; at rest when the tables are emptied."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2Hasher"]
    admin = User.objects.create_superuser("admin@example.com", PASSWORD, username="admin")
    (tmp_path / "administrator_password").write_text(PASSWORD)
    yield Machine(f"http://127.0.0.1:{web.port}", admin, tmp_path)
    be_at_rest()
