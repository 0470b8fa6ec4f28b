"""Who uses the admin."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from tests.integration.executions.conftest import doorbells, only_legal_moves

__all__ = ["doorbells", "only_legal_moves"]


@pytest.fixture
def browser(admin: User, empty_redis: None) -> Client:
    """A superuser's."""
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def viewer(bob: User, empty_redis: None) -> Client:
    """Of bob, who is staff and may look at everything and change nothing."""
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    return client
