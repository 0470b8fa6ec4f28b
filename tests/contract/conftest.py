"""Callers of contract tests, and the engine without Celery."""

from collections.abc import Callable

import pytest

from accounts.models import User
from tests.api import BASES, Api
from tests.integration.executions.conftest import doorbells, only_legal_moves

__all__ = ["doorbells", "only_legal_moves"]


@pytest.fixture(params=BASES)
def caller(request: pytest.FixtureRequest, as_user: Callable[..., Api], alice: User) -> Api:
    """Alice, at each base address."""
    return as_user(alice, request.param)
