"""The system channel: ends of one's own executions, announced maintenance, and alerts for staff."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from config.embedded import start_valkey, stop_valkey
from core import metrics_sending
from core.times import iso
from events.models import Announcement
from executions import interventions, maintenance_mode
from executions.models import Worker
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.integration.executions.test_engine import failing
from tests.integration.executions.test_waits import signal
from tests.integration.live.conftest import QUICK, Dial, is_silent, token_of
from tests.sockets import SocketClient
from tests.web import web_server
from workflows.models import Role, Share

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_ends_of_executions_of_ones_own_workflows_are_told(
    dial: Dial, alice: User, bob: User, doorbells: Doorbells
) -> None:
    mine, others = dial(alice), dial(bob)
    assert mine.subscribe("system")["type"] == others.subscribe("system")["type"] == "subscribed"
    good = start(alice, linear(log("a")))
    doorbells.work()
    told = mine.receive()
    assert (told["type"], told["id"]) == ("notification", f"{good.pk}-ended")
    assert set(told["data"]) == {"type", "title", "message", "data"}
    assert told["data"]["type"] == "execution_completed"
    assert told["data"]["data"] == {
        "execution_id": good.pk,
        "workflow_id": good.workflow_id,
        "workflow_name": good.workflow.name,
        "status": "completed",
        "error": None,
    }
    bad = start(alice, linear(failing("bad")))
    doorbells.work()
    told = mine.receive()["data"]
    assert (told["type"], told["data"]["execution_id"]) == ("execution_failed", bad.pk)
    assert told["message"] == told["data"]["error"]["message"]
    # One for each end, and none for whom the workflow is not.
    assert is_silent(mine)
    assert is_silent(others)


def test_a_share_brings_no_notifications(dial: Dial, alice: User, bob: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    Share.objects.create(workflow=execution.workflow, user=bob, role=Role.EDITOR, created_by=alice)
    socket, own = dial(bob), dial(alice)
    socket.subscribe("system")
    own.subscribe("system")
    doorbells.work()
    own.receive()
    assert is_silent(socket)


def test_a_cancelled_execution_is_no_news(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal()))
    doorbells.work()
    socket = dial(alice)
    socket.subscribe("system")
    socket.subscribe("execution", execution.pk)
    interventions.cancel_execution(execution)
    assert socket.receive()["data"]["status"] == "cancelled"
    assert is_silent(socket)


def _form(starts_at: datetime, ends_at: datetime, **more: str) -> dict[str, str]:
    times = {"starts_at": starts_at, "ends_at": ends_at}
    split = {
        f"{name}_{part}": form for name, at in times.items() for part, form in enumerate(at.strftime("%F %T").split())
    }
    return {"title": "New disks", "message": "An hour without executions.", **split, **more}


def test_maintenance_announced_in_the_admin_is_told_to_everybody_and_recorded(
    dial: Dial, alice: User, admin: User
) -> None:
    sockets = [dial(alice), dial(admin)]
    answers = [socket.subscribe("system") for socket in sockets]
    assert [answer["data"]["snapshot"] for answer in answers] == [{"maintenance": []}] * 2
    browser = Client()
    browser.force_login(admin)
    now = timezone.now().replace(microsecond=0)
    form = _form(now + timedelta(hours=1), now + timedelta(hours=2))
    assert browser.post("/admin/events/announcement/add/", form).status_code == 302
    made = Announcement.objects.get()
    told = sockets[0].receive()
    assert (told["id"], told["data"]["type"]) == (made.pk, "maintenance_scheduled")
    assert told["data"]["data"] == {
        "id": made.pk,
        "title": "New disks",
        "message": "An hour without executions.",
        "starts_at": iso(now + timedelta(hours=1)),
        "ends_at": iso(now + timedelta(hours=2)),
    }
    assert sockets[1].until("notification")["data"]["type"] in {"maintenance_scheduled", "system_alert"}
    entry = AuditEntry.objects.get(action="admin.added")
    assert (entry.object_id, entry.actor) == (made.pk, admin.email)
    later = dial(alice).subscribe("system")["data"]["snapshot"]["maintenance"]
    assert [found["id"] for found in later] == [made.pk]


def test_what_was_announced_while_live_views_could_not_read_is_told_afterwards(dial: Dial, alice: User) -> None:
    with web_server(before=QUICK, APG_LOG_LEVEL="WARNING") as server, connection.cursor() as cursor:
        socket = dial(alice, port=server.port)
        socket.subscribe("system")
        cursor.execute("ALTER TABLE events_announcement RENAME TO elsewhere")
        try:
            eventually(lambda: "Live views wait" in server.log.read_text())
        finally:
            with transaction.atomic():
                cursor.execute("ALTER TABLE elsewhere RENAME TO events_announcement")
                made = Announcement.objects.create(title="t", message="m", starts_at=timezone.now())
        assert socket.until("notification")["id"] == made.pk
        assert is_silent(socket)


def test_maintenance_that_ends_before_it_starts_is_refused(admin: User, transactional_db: None) -> None:
    browser = Client()
    browser.force_login(admin)
    now = timezone.now()
    response = browser.post("/admin/events/announcement/add/", _form(now, now - timedelta(hours=1)))
    assert response.status_code == 200
    assert "It must end after it starts" in response.content.decode()
    assert Announcement.objects.count() == 0


def test_maintenance_that_is_over_is_in_no_snapshot(dial: Dial, alice: User) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    Announcement.objects.create(title="t", message="m", starts_at=long_ago, ends_at=long_ago + timedelta(hours=1))
    assert dial(alice).subscribe("system")["data"]["snapshot"] == {"maintenance": []}


def test_maintenance_mode_announces_itself_until_further_notice(dial: Dial, admin: User, alice: User) -> None:
    socket = dial(alice)
    socket.subscribe("system")
    maintenance_mode.switch_on(actor=admin, message="New disks")
    told = socket.receive()["data"]
    assert (told["type"], told["message"], told["data"]["ends_at"]) == ("maintenance_scheduled", "New disks", None)
    assert [found["message"] for found in dial(alice).subscribe("system")["data"]["snapshot"]["maintenance"]] == [
        "New disks"
    ]
    maintenance_mode.switch_off(actor=admin)
    assert dial(alice).subscribe("system")["data"]["snapshot"] == {"maintenance": []}


def test_staff_are_told_what_ails_the_platform_and_that_it_is_over(dial: Dial, admin: User, alice: User) -> None:
    socket, nobody = dial(admin), dial(alice)
    socket.subscribe("system")
    nobody.subscribe("system")
    told = socket.receive()["data"]
    assert (told["type"], told["data"]) == ("system_alert", {"component": "workers", "resolved": False})
    # Who comes later is told as well.
    other = dial(admin)
    other.subscribe("system")
    assert other.receive()["data"] == told
    Worker.objects.create(name="w", processes=1)
    assert socket.receive()["data"]["data"] == {"component": "workers", "resolved": True}
    assert is_silent(nobody)


def test_a9_who_is_staff_no_more_is_told_no_alerts(dial: Dial, admin: User) -> None:
    socket = dial(admin)
    socket.subscribe("system")
    assert socket.receive()["data"]["type"] == "system_alert"
    User.objects.filter(pk=admin.pk).update(is_staff=False)
    Worker.objects.create(name="w", processes=1)
    assert socket.receive()["data"]["code"] == "RESOURCE_NOT_FOUND"
    assert is_silent(socket)


def a_worker_for_good() -> None:
    """One whose heart counts for as long as the test takes, so that no alert tells of workers."""
    Worker.objects.create(name="w", processes=1, heartbeat_at=timezone.now() + timedelta(hours=1))


def test_staff_are_told_that_redis_is_away_and_that_it_is_back(
    own_valkey: tuple[Path, str], admin: User, empty_redis: None
) -> None:
    folder, url = own_valkey
    a_worker_for_good()
    with web_server(before=QUICK, REDIS_URL=url) as server, SocketClient(server.port, token_of(admin)) as socket:
        socket.subscribe("system")
        stop_valkey(folder)
        assert socket.receive()["data"]["data"] == {"component": "redis", "resolved": False}
        start_valkey(folder)
        assert socket.receive()["data"]["data"] == {"component": "redis", "resolved": True}
        assert "Traceback" not in server.log.read_text()


def test_staff_are_told_that_rabbitmq_is_away(admin: User, empty_redis: None) -> None:
    a_worker_for_good()
    with (
        web_server(before=QUICK, APG_BROKER_URL="amqp://guest:guest@127.0.0.1:1//") as server,
        SocketClient(server.port, token_of(admin)) as socket,
    ):
        socket.subscribe("system")
        assert socket.receive()["data"]["data"] == {"component": "broker", "resolved": False}


def test_open_sockets_and_what_they_watch_are_in_the_metrics(dial: Dial, alice: User) -> None:
    execution = start(alice, linear(log("a")))
    first, _ = dial(alice), dial(alice)
    assert first.subscribe("execution", execution.pk)["type"] == "subscribed"
    assert first.subscribe("system")["type"] == "subscribed"

    def told() -> tuple[float, ...]:
        return tuple(gauges().get(name, 0) for name in ("apg_web_processes", "apg_socket_subscriptions"))

    def gauges() -> Mapping[str, float]:
        """Of this server, which is the one with sockets."""
        found = metrics_sending.read().gauges.values()
        return next((each for each in found if each.get("apg_sockets_open") == 2), {})

    eventually(lambda: told() == (1, 2))
    assert gauges()["apg_live_look_age_seconds"] < 5
    assert gauges()["apg_socket_slowest_send_seconds"] < 1
