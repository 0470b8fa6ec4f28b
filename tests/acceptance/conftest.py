"""A prepared database, made once for the tests that need a platform of their own on one."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.processes import Platform, new_database, valkey_database
from tests.deployment import copy_context
from tests.unit.test_image import tracked

PREPARED = "apg_prepared"
MakePlatform = Callable[..., Platform]


@pytest.fixture(scope="session")
def prepared() -> Iterator[Platform]:
    """The compose file's `prepare`, run on a new database by the code that is in the image; no process."""
    folder = Path(tempfile.mkdtemp(prefix="apg-prepared-"))
    copy_context(folder / "app", tracked())
    with new_database(PREPARED) as database_url:
        made = Platform(folder, database_url, valkey_database(5), code=folder / "app")
        done = made.run("prepare")
        assert done.returncode == 0, done.stderr
        yield made
        made.down()


@pytest.fixture(scope="module")
def make_platform(prepared: Platform, request: pytest.FixtureRequest) -> Iterator[MakePlatform]:
    """`make_platform(number)`: one on a copy of the prepared database, and that database of Valkey; ended afterwards.

    Its administrator and its keys are those of the prepared one.
    """
    with ExitStack() as stack:

        def make(number: int, **more: str) -> Platform:
            folder = Path(tempfile.mkdtemp(prefix="apg-platform-"))
            shutil.copytree(prepared.folder / "secrets", folder / "secrets")
            database_url = stack.enter_context(new_database(f"apg_platform_{number}", like=PREPARED))
            platform = Platform(folder, database_url, valkey_database(number), code=prepared.code, more=more)
            stack.callback(platform.down)
            return platform

        yield make
