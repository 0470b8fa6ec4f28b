"""schemathesis over the OpenAPI document: whatever is sent, the answer is one that the document knows.

Each operation is called by a user and by staff, with bodies, queries and headers that fit the document and with some
that do not, on objects that are there and on some that are not. The examples are the same in every run.
"""

from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from accounts.models import Tier, User
from tests import conformance
from tests.contract.access_world import DEFINITION, make_world

pytestmark = pytest.mark.django_db(transaction=True)

FITTING, OTHER = 10, 6
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# The caller is ours to choose: with made-up credentials nothing but 401 would be seen.
CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
SCHEMA = schemathesis.openapi.from_dict(conformance.document(), config=CONFIG)
SCHEMA.app = WSGIHandler()
OPERATIONS = [f"{method.upper()} {path}" for path, item in conformance.document()["paths"].items() for method in item]


@pytest.mark.parametrize("caller", ["owner", "staff"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_call_is_answered_otherwise_than_the_document_says(
    empty_redis: None, nobody_waits: None, label: str, caller: str
) -> None:
    world = make_world(None)
    User.objects.update(tier=Tier.CUSTOM, requests_per_hour=10**9)
    headers = {"Authorization": f"Bearer {world.callers[caller].token}"}
    operation: Any = SCHEMA.find_operation_by_label(label)

    def call(case: Any, there: bool) -> None:
        if there:
            case.path_parameters |= {name: world.ids[name] for name in case.path_parameters if name in world.ids}
            # Made up, definitions have components of types that there are not.
            if isinstance(case.body, dict):
                case.body |= dict.fromkeys(case.body.keys() & {"definition", "workflow_definition"}, DEFINITION)
        case.call_and_validate(headers=headers, checks=CHECKS)

    every_time = settings(
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    fitting = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    settings(every_time, max_examples=FITTING)(given(case=fitting, there=st.booleans())(call))()
    # What does not fit an address is another address.
    if operation.body or operation.query or operation.headers:
        other = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        settings(every_time, max_examples=OTHER)(given(case=other, there=st.booleans())(call))()
