"""API reference, "Bulk Workflow Operations": request and answer as printed."""

import pytest

from tests.api import Api
from tests.contract.reference import EXAMPLES, assert_as_printed, quotes, send

pytestmark = pytest.mark.django_db(transaction=True)


@quotes("Bulk Workflow Operations")
def test_bulk_create_answers_as_printed(caller: Api) -> None:
    """Bulk Workflow Operations, "Bulk Create": for `{...}` a definition that is valid and one that is not."""
    first, second = EXAMPLES["Bulk Workflow Operations"].body["operations"]
    good = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}]}
    operations = [
        {**operation, "data": {**operation["data"], "definition": definition}}
        for operation, definition in ((first, good), (second, {"components": []}))
    ]
    answer = send(caller, "Bulk Workflow Operations", body={"operations": operations})
    # The message says what is invalid about the definition.
    assert_as_printed(answer, "Bulk Workflow Operations", status=200, free=("data.results[].errors[].message",))
