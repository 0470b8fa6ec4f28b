"""What template tests start from: templates made over REST, and workflows of the gallery run by the real engine."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import User
from core.types import JSONObject
from templates_app.gallery_files import load_gallery
from templates_app.models import Template
from tests.api import BASES, Api
from tests.integration.executions.conftest import Doorbells, doorbells, only_legal_moves
from tests.integration.templates_app.gallery import Bench

__all__ = ["doorbells", "only_legal_moves"]

START = {"id": "start", "type": "start", "config": {"trigger_type": "manual"}}
# The template of the API reference's example: parameters of three types, read by a transform.
DEFINITION: JSONObject = {
    "components": [
        START,
        {
            "id": "t",
            "type": "transform",
            "config": {"output": {"from": "{{ source_url }}", "as": "{{ output_format }}", "by": "{{ batch_size }}"}},
        },
    ],
    "connections": [{"source": "start", "target": "t", "type": "success"}],
}
FORM: list[JSONObject] = [
    {"name": "source_url", "parameter_type": "string", "required": True, "validation_rules": {"pattern": "^https://"}},
    {"name": "output_format", "parameter_type": "string", "options": ["json", "csv"], "default_value": "json"},
    {"name": "batch_size", "parameter_type": "integer", "validation_rules": {"min": 1, "max": 1000}},
]


def make(api: Api, name: str = "t", definition: JSONObject = DEFINITION, **more: Any) -> str:
    """The id of a template created over REST, with the form above unless it is given another."""
    body = {"name": name, "workflow_definition": definition, "parameters": FORM, **more}
    answer = api.post("/templates", body)
    assert answer.status == 201, answer.body
    return str(answer.data["id"])


def publish(template_id: str) -> None:
    """As staff do."""
    assert Template.objects.filter(pk=template_id).update(published=True) == 1


@pytest.fixture(params=BASES)
def caller(request: pytest.FixtureRequest, as_user: Callable[..., Api], alice: User) -> Api:
    """Alice, at each base address."""
    return as_user(alice, request.param)


@pytest.fixture
def bob_api(as_user: Callable[..., Api], bob: User) -> Api:
    """The API as bob."""
    return as_user(bob)


@pytest.fixture
def admin_api(as_user: Callable[..., Api], admin: User) -> Api:
    """The API as staff."""
    return as_user(admin)


@pytest.fixture
def bench(doorbells: Doorbells, as_user: Callable[..., Api], alice: User, settings: Any) -> Iterator[Bench]:
    """The gallery loaded, and everything to run it with."""
    load_gallery()
    made = Bench(alice, as_user(alice), doorbells, settings)
    with made.far_ends:
        yield made
