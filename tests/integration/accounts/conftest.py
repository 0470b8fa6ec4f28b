"""OAuth applications."""

import pytest

from accounts.models import User
from tests import oauth
from tests.oauth import Registered


@pytest.fixture
def reports(db: None) -> Registered:
    """A confidential application of nobody in particular."""
    return oauth.register()


@pytest.fixture
def service(alice: User) -> Registered:
    """An application that acts as alice."""
    return oauth.register_service(alice)
