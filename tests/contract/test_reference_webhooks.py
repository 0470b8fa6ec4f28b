"""API reference, "Webhooks": the request as printed; the payload and the signature are in the tests of webhooks."""

import re

import pytest

from events.event_types import PUBLIC_EVENTS
from tests.api import Api
from tests.contract.reference import EXAMPLES, PAGE, differences, quotes, send
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


@quotes("Webhook Configuration")
def test_create_webhook_takes_the_printed_body(caller: Api) -> None:
    """Webhook Configuration. Everything is answered as it was given, but for the secret."""
    answer = send(caller, "Webhook Configuration")
    assert answer.status == 201, answer.body
    printed = EXAMPLES["Webhook Configuration"].body
    shown = {name: value for name, value in printed.items() if name != "secret"}
    assert list(differences(shown, answer.data)) == []
    assert "secret" not in answer.data
    assert caller.get(f"/webhooks/{answer.data['id']}").data == answer.data
    assert Webhook.objects.count() == 1


def test_the_events_are_those_of_the_table() -> None:
    """Webhook Events."""
    table = PAGE.read_text().partition("### Webhook Events")[2].partition("### Webhook Payload")[0]
    assert re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE) == list(PUBLIC_EVENTS)
