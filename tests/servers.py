"""A pytest plugin: the PostgreSQL and Valkey that the suite runs on, up before Django reads its settings."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from config.embedded import start_postgres, start_valkey, stop_postgres, stop_valkey

_folder = Path(tempfile.mkdtemp(prefix="apg-test-"))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Servers from the wheels, unless the environment names others."""
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = start_postgres(_folder)
    if "REDIS_URL" not in os.environ:
        os.environ["REDIS_URL"] = start_valkey(_folder)
    os.environ["APG_DATA_DIR"] = str(_folder)
    os.environ["APG_SECRET_KEY"] = secrets.token_urlsafe(48)
    os.environ["APG_OUTBOUND_ALLOW"] = "127.0.0.1/32"
    os.environ["APG_LOG_LEVEL"] = "WARNING"


def pytest_unconfigure() -> None:
    """Nothing is left behind, after an interrupt too."""
    stop_valkey(_folder)
    stop_postgres(_folder)
    shutil.rmtree(_folder, ignore_errors=True)
