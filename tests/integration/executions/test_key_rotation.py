"""Key rotation: every sealed column under the first key, beside a running platform, again and again if need be."""

import base64
import hashlib
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, models

from accounts import secret_store, vault
from accounts.callers import Caller
from accounts.models import Secret, User
from config import key_rotation
from config.key_rotation import SEALED_COLUMNS, Rotation, count_by_key, rotate
from executions import maintenance, plans
from executions.interventions import RetryRequest, retry_execution, send_signal
from executions.models import ComponentRun, Execution, LoopItem
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, make_workflow, opened, start, transform
from webhooks.models import Webhook
from webhooks.sealing import open_secret
from webhooks.services import create_webhook, rotate_secret
from workflows import hook_tokens
from workflows.models import Trigger, WorkflowVersion
from workflows.sealing import whole_definition
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
OLD_ID, NEW_ID = (hashlib.sha256(base64.b64decode(key)).digest()[:4].hex() for key in (OLD, NEW))
SIGNING = "canary-to-sign-with"
SECRET, LITERAL, TOKEN = "canary-secret", "canary-literal", "canary-token"
TOKENS = [{"name": "token", "type": "secret"}]
Ring = Callable[..., None]


@pytest.fixture
def ring(settings: Any) -> Any:
    """`ring(NEW, OLD)`: the keys, as after a restart of every process."""

    def use(*keys: str) -> None:
        settings.ENCRYPTION_KEYS = list(keys)
        vault._ring.cache_clear()
        plans.compiled.cache_clear()

    yield use
    vault._ring.cache_clear()
    plans.compiled.cache_clear()


def run_command(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_keys", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def keys_of(name: str) -> dict[str, int]:
    (column,) = [column for column in SEALED_COLUMNS if column.name == name]
    return count_by_key(column)


def some_secrets(owner: User, count: int) -> None:
    for number in range(count):
        secret_store.create_secret(owner=owner, name=f"key{number}", value=f"value {number}")


def under(table: Any) -> list[str]:
    """The keys that the rows are sealed under, in order."""
    return [vault.key_of(bytes(sealed)) for sealed in table.order_by("pk").values_list("sealed_value", flat=True)]


def test_every_column_of_bytes_is_in_the_table_or_said_to_be_none() -> None:
    in_the_table = {column.name for column in SEALED_COLUMNS}
    of_bytes = {
        f"{model._meta.db_table}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.BinaryField)
    }
    # Digests open to nothing.
    assert of_bytes - in_the_table == {
        "executions_idempotencykey.request_digest",
        "accounts_apikey.key_hash",
        "workflows_trigger.token_digest",
    }
    assert in_the_table <= of_bytes


def waiting_execution(alice: User, doorbells: Doorbells) -> Execution:
    """One that has something in every sealed column, waits in the middle, and reads all of it afterwards."""
    hooked = make_workflow(alice, {"components": [{"id": "s", "type": "start", "config": {"trigger_type": "webhook"}}]})
    update_workflow(workflow=hooked, user=alice, changes={"status": "active"})
    hook = {"type": "webhook"}
    start_execution(workflow=hooked, user=alice, request=StartRequest(), trigger=hook, brought={"password": TOKEN})
    secret_store.create_secret(owner=alice, name="key", value=SECRET)
    failing = {"id": "never", "type": "fail", "config": {"message": "no"}}
    loop = {
        "id": "loop",
        "type": "for_each",
        "config": {
            "items": ["{{ token }}"],
            "components": [
                {"id": "wait", "type": "delay", "config": {"seconds": 3600}},
                transform("inner", "{{ item == token }}"),
            ],
            "connections": [{"source": "wait", "target": "inner"}],
        },
    }
    reads = {
        "s": "{{ a.output.s == secrets.key }}",
        "p": "{{ a.output.password | length }}",
        "t": "{{ token | length }}",
    }
    first = linear(transform("a", {"s": "{{ secrets.key }}", "password": LITERAL}), failing)
    workflow = make_workflow(alice, {**first, "parameters": TOKENS})
    request = StartRequest(parameters={"token": TOKEN})
    failed = start_execution(workflow=workflow, user=alice, request=request).execution
    doorbells.work()
    second = {**linear(first["components"][0], loop, transform("never", reads)), "parameters": TOKENS}
    update_workflow(workflow=workflow, user=alice, changes={"definition": second})
    failed.refresh_from_db()
    again = retry_execution(execution=failed, user=alice, request=RetryRequest("loop", latest=True))
    doorbells.work()
    send_signal(execution=again, user=alice, name="kept", data={"for": "later"})
    return again


def rotated_webhook(alice: User) -> Webhook:
    """One with two secrets."""
    webhook, _ = create_webhook(
        caller=Caller(alice, frozenset()), url="https://example.com", events=["workflow.created"], retry_policy={},
        secret=SIGNING,
    )  # fmt: skip
    return rotate_secret(webhook=webhook, secret=f"new {SIGNING}")[0]


def test_an_execution_that_waits_goes_on_after_the_old_key_is_gone(
    alice: User, doorbells: Doorbells, ring: Ring
) -> None:
    ring(OLD)
    execution = waiting_execution(alice, doorbells)
    webhook = rotated_webhook(alice)
    before = {column.name: count_by_key(column) for column in SEALED_COLUMNS}
    assert all(set(counts) == {OLD_ID} for counts in before.values()), before
    ring(NEW, OLD)
    printed = run_command()
    for column in SEALED_COLUMNS:
        count = before[column.name][OLD_ID]
        assert count_by_key(column) == {NEW_ID: count}
        assert [column.name, str(count), "0", "0"] in [line.split() for line in printed.splitlines()]
    ring(NEW)
    ComponentRun.objects.filter(status="waiting", component_id="wait").update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED, execution.error
    assert opened(execution)["never"] == {"s": True, "p": len(LITERAL), "t": len(TOKEN)}
    assert opened(execution)["inner"] is True
    hook = Trigger.objects.get()
    assert hook_tokens.digest(hook_tokens.reveal(hook)) == bytes(hook.token_digest or b"")
    for version in WorkflowVersion.objects.exclude(workflow=hook.workflow_id):
        assert LITERAL in str(whole_definition(version))
    assert secret_store.values_of(alice.pk, None) == {"key": SECRET}
    webhook.refresh_from_db()
    sealed = (webhook.sealed_secret, webhook.sealed_previous_secret or b"")
    assert [open_secret(bytes(each), webhook_id=webhook.pk) for each in sealed] == [f"new {SIGNING}", SIGNING]
    for told in (SECRET, LITERAL, TOKEN, SIGNING):
        assert told not in printed


def test_a_second_call_changes_nothing(alice: User, ring: Ring) -> None:
    ring(OLD)
    some_secrets(alice, 2)
    ring(NEW, OLD)
    run_command()
    sealed = list(Secret.objects.order_by("pk").values_list("sealed_value", "updated_at"))
    printed = run_command()
    assert list(Secret.objects.order_by("pk").values_list("sealed_value", "updated_at")) == sealed
    assert "sealed again" not in printed


def test_a_dry_run_counts_by_key_and_changes_nothing(alice: User, ring: Ring) -> None:
    ring(OLD)
    some_secrets(alice, 2)
    ring(NEW)
    secret_store.create_secret(owner=alice, name="new", value="v")
    ring(NEW, OLD)
    lines = [line.split() for line in run_command("--dry-run").splitlines()[1:]]
    assert lines == sorted([
        ["accounts_secret.sealed_value", NEW_ID, "1", "first"],
        ["accounts_secret.sealed_value", OLD_ID, "2", "in", "the", "ring"],
    ])  # fmt: skip
    ring(NEW)
    assert "not in the ring" in run_command("--dry-run")
    assert under(Secret.objects) == [OLD_ID, OLD_ID, NEW_ID]


def test_what_began_without_keys_is_rotated_to_the_first_one(alice: User, ring: Ring) -> None:
    ring()
    some_secrets(alice, 1)
    derived = vault.key_ids()[0]
    ring(NEW)
    assert secret_store.values_of(alice.pk, None) == {"key0": "value 0"}
    assert keys_of("accounts_secret.sealed_value") == {derived: 1}
    run_command()
    assert under(Secret.objects) == [NEW_ID]


def test_an_interrupted_rotation_is_begun_again(alice: User, ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(OLD)
    some_secrets(alice, 5)
    ring(NEW, OLD)
    monkeypatch.setattr(key_rotation, "BATCH", 2)

    def interrupt(done: Rotation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(SEALED_COLUMNS[0], interrupt)
    assert under(Secret.objects) == [NEW_ID, NEW_ID, OLD_ID, OLD_ID, OLD_ID]
    seen: list[int] = []
    assert rotate(SEALED_COLUMNS[0], lambda done: seen.append(done.resealed)).resealed == 3
    assert seen == [2, 3]
    assert under(Secret.objects) == [NEW_ID] * 5
    assert len(secret_store.values_of(alice.pk, None)) == 5


@pytest.mark.parametrize("key", [OLD, NEW])
def test_a_row_that_changes_meanwhile_keeps_its_new_value(alice: User, ring: Ring, key: str) -> None:
    ring(OLD)
    some_secrets(alice, 2)
    other = Secret.objects.get(name="key0")
    ring(key)
    newer = vault.seal(b"newer", bound_to=secret_store.place(other.pk))
    ring(NEW, OLD)
    pending = [newer]

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and pending:
            value = pending.pop()
            Secret.objects.filter(pk=other.pk).update(sealed_value=value)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile):
        done = rotate(SEALED_COLUMNS[0], lambda done: None)
    assert done.resealed == (2 if key == OLD else 1)
    assert under(Secret.objects) == [NEW_ID, NEW_ID]
    assert secret_store.values_of(alice.pk, None) == {"key0": "newer", "key1": "value 1"}


def test_a_row_that_is_deleted_meanwhile_is_no_fault(alice: User, ring: Ring) -> None:
    ring(OLD)
    some_secrets(alice, 2)
    ring(NEW, OLD)
    pending = ["key1"]

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and pending:
            Secret.objects.filter(name=pending.pop()).delete()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile):
        done = rotate(SEALED_COLUMNS[0], lambda done: None)
    assert (done.resealed, done.broken) == (1, {})


def test_rows_that_do_not_open_are_named_and_the_others_are_rotated(alice: User, ring: Ring) -> None:
    ring(OLD)
    some_secrets(alice, 3)
    first, second, third = Secret.objects.order_by("pk")
    moved = bytes(first.sealed_value)
    Secret.objects.filter(pk=second.pk).update(sealed_value=moved)
    lost = b"\x01lost" + moved[5:]
    Secret.objects.filter(pk=third.pk).update(sealed_value=lost)
    ring(NEW, OLD)
    out = StringIO()
    with pytest.raises(CommandError, match="Rows that do not open: 2") as raised:
        call_command("rotate_keys", stdout=out, stderr=out)
    assert raised.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert ["accounts_secret.sealed_value", "1", "2", "2"] in [line.split() for line in lines]
    assert lines[-2:] == [
        f"accounts_secret.sealed_value {second.pk}: sealed for another place, or altered",
        f"accounts_secret.sealed_value {third.pk}: sealed with a key that is not in the ring",
    ]
    kept = Secret.objects.order_by("pk").values_list("sealed_value", flat=True)
    assert [bytes(sealed) for sealed in kept][1:] == [moved, lost]
    assert under(Secret.objects)[0] == NEW_ID
    assert "value" not in out.getvalue().replace("sealed_value", "")


def test_items_are_bound_to_their_loop_and_place(alice: User, doorbells: Doorbells, ring: Ring) -> None:
    ring(OLD)
    waiting_execution(alice, doorbells)
    (item,) = LoopItem.objects.exclude(sealed_value=None)
    ring(NEW, OLD)
    run_command()
    item.refresh_from_db()
    opened = vault.unseal(bytes(item.sealed_value or b""), bound_to=f"{item.run_id}/items/0")
    assert opened == f'"{TOKEN}"'.encode()


def test_what_does_not_open_is_409_with_advice(alice: User, alice_api: Api, doorbells: Doorbells, ring: Ring) -> None:
    ring(NEW)
    execution = start(alice, linear(transform("a", "{{ api_token }}")), parameters={"api_token": "s3cr3t-value"})
    doorbells.work()
    secretive = linear({"id": "a", "type": "transform", "config": {"output": {"password": "a-literal-secret"}}})
    workflow = alice_api.post("/workflows", {"name": "secretive", "definition": secretive}).data["id"]
    ring(OLD)
    for path in (
        f"/executions/{execution.pk}/retry",
        f"/workflows/{workflow}/duplicate",
        f"/workflows/{workflow}/versions/1/restore",
    ):
        answer = alice_api.post(path, {})
        assert (answer.status, answer.code) == (409, "RESOURCE_CONFLICT"), path
        assert answer.body["errors"][0]["details"] == {"expected": "the old key in APG_ENCRYPTION_KEYS"}
