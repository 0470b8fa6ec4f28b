"""The people, credentials and objects of the access matrix: one of each kind."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import set_token_value

from accounts import tokens
from accounts.api_keys import create_api_key
from accounts.groups import group_id
from accounts.models import Session, User
from accounts.oauth_models import OAuthAccessToken, OAuthApplication
from accounts.scopes import ALL, EVERYTHING, Scope
from accounts.secret_store import create_secret
from core.ids import new_id
from executions.models import Execution
from executions.states import ExecutionStatus
from templates_app.models import Template
from templates_app.services import create_template
from tests.conftest import PASSWORD
from webhooks.backoff import RetryPolicy
from webhooks.models import Delivery, Webhook
from webhooks.sealing import seal_secret
from workflows import hook_tokens
from workflows.models import Role, Share, Trigger, Workflow, WorkflowVersion
from workflows.services import create_workflow, update_workflow

HOOKED = {
    "components": [{"id": "start", "type": "start", "config": {"trigger_type": "webhook", "methods": ["GET", "POST"]}}]
}
DEFINITION = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}]}


@dataclass(frozen=True)
class Credentials:
    """What a caller sends."""

    token: str = ""
    key: str = ""


@dataclass
class World:
    """`callers` by name; `ids` fill the parameters of addresses."""

    callers: dict[str, Credentials] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    refresh_token: str = ""


def session_of(user: User) -> tuple[str, str]:
    """(access token, refresh token) of a new session."""
    session = Session.objects.create(
        user=user, refresh_id=new_id(), address="127.0.0.1", expires_at=timezone.now() + timedelta(days=1)
    )
    claims = tokens.Claims(user.pk, session.pk, session.refresh_id)
    return tokens.make("access", claims), tokens.make("refresh", claims)


def make_world(scope: Scope | None) -> World:
    """Everybody, with keys that have or lack `scope`; alice owns everything."""
    people = {name: User.objects.create_user(f"{name}@example.com", PASSWORD, username=name) for name in _PEOPLE}
    people["staff"] = User.objects.create_superuser("staff@example.com", PASSWORD, username="staff")
    owner = people["owner"]
    world = World()
    for name, user in people.items():
        access, refresh = session_of(user)
        world.callers[name] = Credentials(access)
        if name == "owner":
            world.refresh_token = refresh
    _add_keys(world, people, scope)
    User.objects.filter(pk=people["disabled"].pk).update(is_active=False)
    world.callers |= {
        "anonymous": Credentials(),
        "garbage": Credentials("a.b.c"),
        **_applications(people, scope),
        "two credentials": Credentials(world.callers["owner"].token, world.callers["viewer's key"].key),
    }
    _add_objects(world, people, owner)
    return world


_PEOPLE = ("owner", "viewer", "operator", "editor", "team operator", "stranger", "disabled")


def _add_keys(world: World, people: Mapping[str, User], scope: Scope | None) -> None:
    now = timezone.now()

    def key(user: User, permissions: list[str]) -> str:
        made, text = create_api_key(owner=user, name="k", permissions=permissions)
        # Used, it seems, later than now, so that its use writes nothing however long the tests take.
        type(made).objects.filter(pk=made.pk).update(last_used_at=now + timedelta(days=1))
        return text

    owner = people["owner"]
    world.callers |= {
        "key with the scope": Credentials(key=key(owner, [scope] if scope else [])),
        "key without the scope": Credentials(key=key(owner, sorted(ALL - {scope}))),
        "key with no scope": Credentials(key=key(owner, [])),
        "viewer's key": Credentials(key=key(people["viewer"], [EVERYTHING])),
        "stranger's key": Credentials(key=key(people["stranger"], [EVERYTHING])),
        "disabled user's key": Credentials(key=key(people["disabled"], [EVERYTHING])),
        "expired key": Credentials(key=key(owner, [EVERYTHING])),
        "deleted key": Credentials(key=key(owner, [EVERYTHING])),
    }
    prefix = world.callers["expired key"].key[:12]
    owner.api_keys.filter(prefix=prefix).update(expires_at=now - timedelta(seconds=1))
    owner.api_keys.filter(prefix=world.callers["deleted key"].key[:12]).delete()


# Tokens of OAuth get what a key of the same user and scopes gets.
LIKE = {
    "application with the scope": "key with the scope",
    "application without the scope": "key without the scope",
    "owner's own application": "key with the scope",
    "stranger's application": "stranger's key",
    "disabled user's application": "disabled user's key",
    "expired application": "expired key",
}


def _applications(people: Mapping[str, User], scope: Scope | None) -> dict[str, Credentials]:
    owner, wanted = people["owner"], [scope] if scope else []
    application = OAuthApplication.objects.create(
        name="app", user=owner, client_type="confidential", authorization_grant_type="client-credentials"
    )

    def token(user: User | None, scopes: Iterable[str], seconds: int = 3600) -> Credentials:
        text, expires = new_id(), timezone.now() + timedelta(seconds=seconds)
        made = OAuthAccessToken(user=user, application=application, scope=" ".join(scopes), expires=expires)
        set_token_value(made, text)
        made.save()
        return Credentials(text)

    return {
        "application with the scope": token(owner, wanted),
        "application without the scope": token(owner, ALL - {scope}),
        "owner's own application": token(None, wanted),
        "stranger's application": token(people["stranger"], ALL),
        "disabled user's application": token(people["disabled"], ALL),
        "expired application": token(owner, ALL, seconds=-1),
    }


def _add_objects(world: World, people: Mapping[str, User], owner: User) -> None:
    workflow = create_workflow(user=owner, name="w", definition=DEFINITION)
    team = Group.objects.create(name="team")
    people["team operator"].groups.add(team)
    for role in (Role.VIEWER, Role.OPERATOR, Role.EDITOR):
        Share.objects.create(workflow=workflow, user=people[role], role=role, created_by=owner)
    share = Share.objects.create(workflow=workflow, group=team, role=Role.OPERATOR, created_by=owner)
    grantee = User.objects.create_user("grantee@example.com", username="grantee")
    secret = create_secret(owner=owner, name="TOKEN", value="a-secret-value")
    key, _ = create_api_key(owner=owner, name="object", permissions=[])
    template = create_template(user=owner, name="private", definition=DEFINITION)
    schedule = Trigger.objects.create(
        workflow=workflow, component_id="start", type="schedule", live=True, anchor_at=timezone.now(),
        next_at=timezone.now() + timedelta(hours=1),
        config={"cron": None, "interval_seconds": 3600, "timezone": "UTC", "overlap": "allow", "catchup": "none",
                "catchup_window_seconds": 60},
    )  # fmt: skip
    rotated = Trigger(workflow=workflow, component_id="hook", type="webhook", live=True, config={})
    hook_tokens.renew(rotated)
    rotated.save(force_insert=True)
    hooked = create_workflow(user=owner, name="hooked", definition=HOOKED)
    update_workflow(workflow=hooked, user=owner, changes={"status": "active"})
    published = create_template(user=owner, name="published", definition=DEFINITION)
    Template.objects.filter(pk=published.pk).update(published=True)
    webhook = Webhook(id=new_id(), owner=owner, url="https://example.com/", events=["workflow.created"])
    webhook.retry_policy = asdict(RetryPolicy())
    webhook.sealed_secret = seal_secret("a-secret-of-the-owner", webhook_id=webhook.pk)
    webhook.save(force_insert=True)
    delivery = Delivery.objects.create(
        webhook=webhook, event="webhook.test", payload="{}", status="failed", completed_at=timezone.now()
    )
    world.ids |= {
        "webhook_id": webhook.pk,
        "delivery_id": delivery.pk,
        "workflow_id": workflow.pk,
        "execution_id": _execution(workflow, ExecutionStatus.FAILED).pk,
        "running_id": _execution(workflow, ExecutionStatus.PENDING).pk,
        "share_id": share.pk,
        "template_id": template.pk,
        "published_id": published.pk,
        "key_id": key.pk,
        "schedule_id": schedule.pk,
        "component_id": rotated.component_id,
        "token": hook_tokens.reveal(Trigger.objects.get(workflow=hooked)),
        "user_id": grantee.pk,
        "group_id": group_id(team.pk),
        "name": secret.name,
        "component_type": "transform",
        "number": "1",
    }


def _execution(workflow: Workflow, status: ExecutionStatus) -> Execution:
    ended = status == ExecutionStatus.FAILED
    return Execution.objects.create(
        workflow=workflow,
        version=WorkflowVersion.objects.get(workflow=workflow),
        created_by=workflow.created_by,
        trigger={"type": "manual"},
        status=status,
        total_components=1,
        remaining=0 if ended else 1,
        scheduled_at=None if ended else timezone.now() + timedelta(days=1),
        completed_at=timezone.now() if ended else None,
    )


def contents() -> str:
    """A digest of all that a refused request must leave as it was; the audit log may tell of it."""
    tables = [
        name
        for name in connection.introspection.table_names()
        if not name.startswith("django_") and name != "accounts_auditentry"
    ]
    each = [
        f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS digest FROM {name} AS t" for name in sorted(tables)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(digest, '|')) FROM ({' UNION ALL '.join(each)}) AS digests")
        (digest,) = cursor.fetchone() or ("",)
    return str(digest)
