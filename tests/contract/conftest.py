"""Callers of contract tests, and the engine without Celery."""

from collections.abc import Callable, Iterator

import pytest

from accounts.models import User
from executions import hooks
from tests.api import BASES, Api
from tests.integration.executions.conftest import doorbells, only_legal_moves

__all__ = ["doorbells", "only_legal_moves"]


@pytest.fixture(params=BASES)
def caller(request: pytest.FixtureRequest, as_user: Callable[..., Api], alice: User) -> Api:
    """Alice, at each base address."""
    return as_user(alice, request.param)


@pytest.fixture
def nobody_waits() -> Iterator[None]:
    """All places in which a hook's caller may wait for the result are taken: it is answered at once."""
    for _ in range(hooks.MAX_WAITERS):
        hooks.waiters.acquire()
    yield
    for _ in range(hooks.MAX_WAITERS):
        hooks.waiters.release()
