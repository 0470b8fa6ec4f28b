"""Bad input at webhooks: the status, the code and the field that it is answered with; nothing is stored."""

from typing import Any

import pytest

from accounts.models import User
from core.ids import new_id
from tests.api import Api
from tests.integration.workflows.conftest import make
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db

GOOD: dict[str, Any] = {"url": "https://example.com/in", "events": ["workflow.created"], "secret": "sixteen-letters-1"}


@pytest.fixture(autouse=True)
def nothing_allowed(settings: Any) -> None:
    """As it is installed."""
    settings.OUTBOUND_ALLOW = ()


def refused(caller: Api, field: str | None, **fields: Any) -> None:
    """POST, PUT and PATCH are refused alike, naming the field, and store nothing."""
    webhook = caller.post("/webhooks", GOOD).data
    path = f"/webhooks/{webhook['id']}"
    for method, where, body in (
        ("POST", "/webhooks", {**GOOD, **fields}), ("PUT", path, {**GOOD, **fields}), ("PATCH", path, fields),
    ):  # fmt: skip
        answer = caller.call(method, where, body)
        assert (answer.status, answer.code) == (422, "VALIDATION_ERROR"), (method, answer.body)
        assert set(answer.fields) == {field}, (method, answer.body)
    assert caller.get(path).data == webhook
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//example.com", "/relative", "https://", "https:///x",
        # S1
        "http://127.0.0.1/", "http://localhost:8000/", "http://0.0.0.0/", "http://[::1]/", "http://[::]/",
        "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://①②⑦.⓪.⓪.①/",
        "http://127.0.0.1.nip.io/",
        # S2
        "http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://168.63.129.16/",
        "http://metadata.google.internal/",
        # S3
        "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://192.0.0.1/",
        "http://198.18.0.1/", "http://224.0.0.1/", "http://240.0.0.1/", "http://[fc00::1]/", "http://[fe80::1]/",
        "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/", "http://[2002:a00:1::]/", "http://[2001::1]/",
        # S6
        "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "unix:/tmp/x", "data:text/plain,x",
        "http+unix://x/", "http://good@example.com/", "http://user:pw@example.com/", "http://127.0.0.1#@example.com/",
        "http://example.com\\@127.0.0.1/", "http://exa\tmple.com/", "http://example.com/\n", "http://аpple.com/",
        "http://example.com:22/", "http://example.com:6379/", "http://example.com:5432/",
        "https://example.com/" + "x" * 2048,
    ],
)  # fmt: skip
def test_h1_an_address_that_may_not_be_told_is_422(alice_api: Api, url: str) -> None:
    refused(alice_api, "url", url=url)


@pytest.mark.parametrize("value", [None, 5, ["https://example.com"], {}])
def test_h1_an_address_is_text(alice_api: Api, value: Any) -> None:
    refused(alice_api, "url", url=value)


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ([], "events"),
        (["workflow.created"] * 2, "events"),
        (["workflow.created"] * 1000, "events"),
        ("workflow.created", "events"),
        (None, "events"),
        ({"workflow.created": True}, "events"),
        (["workflow.bogus"], "events[0]"),
        (["workflow.created", "*"], "events[1]"),
        (["workflow.created", "component.started"], "events[1]"),
        (["WORKFLOW.CREATED"], "events[0]"),
        ([5], "events[0]"),
        ([None], "events[0]"),
    ],
)
def test_h2_events_are_names_of_the_table_each_once(alice_api: Api, events: Any, field: str) -> None:
    refused(alice_api, field, events=events)


@pytest.mark.parametrize(
    ("policy", "field"),
    [({"max_attempts": value}, "retry_policy.max_attempts") for value in (0, -1, 10**9, 21, 1.5, "3", True, None, [3])]
    + [
        ({"initial_delay_seconds": value}, "retry_policy.initial_delay_seconds")
        for value in (0, -5, 1e12, 0.9, 86401, "60", True, None)
    ]
    + [({"max_delay_seconds": value}, "retry_policy.max_delay_seconds") for value in (0, 86401, 59, "x", None)]
    + [({"backoff_multiplier": value}, "retry_policy.backoff_multiplier") for value in (0, 0.1, 11, -2, "2", None)]
    + [({"jitter": 1}, "retry_policy.jitter"), ([], "retry_policy"), (None, "retry_policy"), ("x", "retry_policy")],
)
def test_h3_a_policy_is_within_its_bounds(alice_api: Api, policy: Any, field: str) -> None:
    refused(alice_api, field, retry_policy=policy)


def test_h3_numbers_that_are_none_are_400(alice_api: Api) -> None:
    raw = b'{"url": "https://example.com", "events": ["workflow.created"], "retry_policy": {"backoff_multiplier": NaN}}'
    assert alice_api.call("POST", "/webhooks", raw=raw).status == 400
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "secret",
    ["", "x", "x" * 15, "x" * 10_000, "whsec_" + "!" * 20, "whsec_QUFB", "with\nline-breaks-16", None, 5, ["x"]],
)
def test_h4_a_secret_that_cannot_sign_is_422_and_is_not_repeated(alice_api: Api, secret: Any) -> None:
    refused(alice_api, "secret", secret=secret)
    answer = alice_api.post("/webhooks", {**GOOD, "secret": secret})
    if isinstance(secret, str) and len(secret) > 1:
        assert secret not in str(answer.body)


def test_h4_a_secret_with_nul_is_refused(alice_api: Api) -> None:
    raw = b'{"url": "https://example.com", "events": ["workflow.created"], "secret": "sixteen-letters\\u0000x"}'
    assert alice_api.call("POST", "/webhooks", raw=raw).status == 422


def test_h4_no_answer_holds_a_secret_but_the_one_that_was_made(alice_api: Api) -> None:
    given = alice_api.post("/webhooks", GOOD)
    path = f"/webhooks/{given.data['id']}"
    made = alice_api.call("POST", f"{path}/rotate-secret")
    secret = made.data["secret"]
    assert secret.startswith("whsec_")
    others = [
        given, alice_api.get(path), alice_api.get("/webhooks"), alice_api.call("PATCH", path, {"secret": "x" + secret}),
        alice_api.call("PUT", path, GOOD), alice_api.post(f"{path}/rotate-secret", {"secret": GOOD["secret"] + "y"}),
        alice_api.post(f"{path}/test"), alice_api.get(f"{path}/deliveries"),
    ]  # fmt: skip
    for answer in others:
        assert answer.status in {200, 201}
        assert secret not in str(answer.body)
        assert GOOD["secret"] not in str(answer.body)
        assert "whsec_" not in str(answer.body)


@pytest.mark.parametrize(
    ("ids", "field"),
    [([], "workflow_ids"), ("x", "workflow_ids"), (["x"], "workflow_ids[0]"), ([5], "workflow_ids[0]")],
)
def test_workflow_ids_are_ids(alice_api: Api, ids: Any, field: str) -> None:
    refused(alice_api, field, workflow_ids=ids)


def test_the_same_workflow_twice_is_422(alice_api: Api) -> None:
    refused(alice_api, "workflow_ids", workflow_ids=[make(alice_api)] * 2)


def test_a8_a_workflow_that_is_hidden_is_404_as_one_that_is_not_there(alice_api: Api, as_user: Any, bob: User) -> None:
    hidden = make(as_user(bob))
    for workflow_id in (hidden, new_id()):
        answer = alice_api.post("/webhooks", {**GOOD, "workflow_ids": [make(alice_api, workflow_id), workflow_id]})
        assert (answer.status, answer.code, answer.fields) == (404, "RESOURCE_NOT_FOUND", ["workflow_ids[1]"])
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "field", ["id", "owner", "failures_in_a_row", "off_reason", "sealed_secret", "created_at", "x"]
)
def test_fields_that_only_the_platform_sets_are_422(alice_api: Api, field: str) -> None:
    refused(alice_api, field, **{field: "x"})


@pytest.mark.parametrize("active", [None, 0, 1, "true", "yes", []])
def test_active_is_true_or_false(alice_api: Api, active: Any) -> None:
    refused(alice_api, "active", active=active)


@pytest.mark.parametrize("missing", ["url", "events"])
def test_what_is_required_is_named(alice_api: Api, missing: str) -> None:
    answer = alice_api.post("/webhooks", {name: value for name, value in GOOD.items() if name != missing})
    assert (answer.status, answer.fields) == (422, [missing])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=bogus", "status"),
        ("status=failed&status=failed", "status"),
        ("event=log", "event"),
        ("limit=0", "limit"),
    ],
)
def test_bad_filters_of_deliveries_are_400_and_named(alice_api: Api, query: str, field: str) -> None:
    webhook_id = alice_api.post("/webhooks", GOOD).data["id"]
    answer = alice_api.get(f"/webhooks/{webhook_id}/deliveries?{query}")
    assert (answer.status, answer.fields) == (400, [field])


def test_a_delivery_of_another_webhook_is_404(alice_api: Api) -> None:
    one, two = (alice_api.post("/webhooks", GOOD).data["id"] for _ in range(2))
    delivery = alice_api.post(f"/webhooks/{one}/test").data["id"]
    assert alice_api.get(f"/webhooks/{one}/deliveries/{delivery}").status == 200
    assert alice_api.get(f"/webhooks/{two}/deliveries/{delivery}").status == 404
    assert alice_api.post(f"/webhooks/{two}/deliveries/{delivery}/redeliver").status == 404


def test_more_webhooks_than_a_user_may_have_are_409(alice_api: Api, settings: Any) -> None:
    settings.WEBHOOKS = {**settings.WEBHOOKS, "MAX_PER_USER": 1}
    assert alice_api.post("/webhooks", GOOD).status == 201
    answer = alice_api.post("/webhooks", GOOD)
    assert (answer.status, answer.code) == (409, "RESOURCE_CONFLICT")
    assert Webhook.objects.count() == 1
