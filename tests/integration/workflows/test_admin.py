"""Workflows in the admin: to list, to search and to look at."""

import re

import pytest
from django.test import Client

from accounts.models import User
from tests.integration.workflows.conftest import sends
from workflows.services import create_workflow, update_workflow

pytestmark = pytest.mark.django_db
LIST = "/admin/workflows/workflow/"


@pytest.fixture
def browser(admin: User) -> Client:
    """A browser in which the administrator has logged in."""
    client = Client()
    client.force_login(admin)
    return client


def test_the_list_shows_and_searches(browser: Client, alice: User) -> None:
    create_workflow(user=alice, name="First pipeline", definition=sends(1))
    create_workflow(user=alice, name="Second report", definition=sends(1))
    page = browser.get(LIST).content.decode()
    assert "First pipeline" in page
    assert "Second report" in page
    assert alice.email in page
    found = browser.get(f"{LIST}?q=report&status=draft").content.decode()
    assert "Second report" in found
    assert "First pipeline" not in found


def test_of_very_many_versions_the_newest_are_listed_without_their_definitions(browser: Client, alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=sends("version 1"))
    for number in range(2, 61):
        update_workflow(workflow=workflow, user=alice, changes={"definition": sends(f"version {number}")})
    text = browser.get(f"{LIST}{workflow.pk}/change/").content.decode()
    assert [f"version {number}" in text for number in (1, 59, 60)] == [False, False, True]
    listed = re.findall(r'<td class="field-number">\s*<p>(\d+)</p>', text)
    assert listed == [str(number) for number in range(60, 10, -1)]


def test_a_workflow_is_shown_with_its_definition_and_cannot_be_changed(browser: Client, alice: User) -> None:
    workflow = create_workflow(user=alice, name="<script>", definition=sends("shown here"))
    page = browser.get(f"{LIST}{workflow.pk}/change/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "shown here" in text
    assert "&lt;script&gt;" in text
    assert 'name="_save"' not in text
    assert browser.post(f"{LIST}{workflow.pk}/change/", {"name": "x"}).status_code == 403
    assert browser.get(f"{LIST}add/").status_code == 403
    assert browser.post(f"{LIST}{workflow.pk}/delete/", {"post": "yes"}).status_code == 403
    workflow.refresh_from_db()
    assert workflow.name == "<script>"
