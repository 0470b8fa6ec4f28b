"""Workflows of the gallery's templates, run by the real engine against far ends on this machine."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

from accounts.models import User
from accounts.secret_store import create_secret
from core.types import JSONObject, JSONValue
from executions import maintenance
from executions.models import ComponentRun
from templates_app.models import Template
from tests.api import Answer, Api
from tests.integration.executions.conftest import Doorbells
from tests.stand_ins import Answers, Mailbox, Service, http_service, mail_server
from workflows.models import Workflow
from workflows.queries import current_definition
from workflows.validation import report


@dataclass
class Bench:
    """Alice starts from a template of the gallery; the far ends are on this machine."""

    user: User
    api: Api
    bells: Doorbells
    settings: Any
    far_ends: ExitStack = field(default_factory=ExitStack)

    def service(self, answers: Answers) -> Service:
        """An HTTP service that lives as long as the test."""
        return self.far_ends.enter_context(http_service(answers))

    def mailbox(self) -> Mailbox:
        """A mail server, which the platform sends to from now on."""
        mailbox = self.far_ends.enter_context(mail_server())
        self.settings.EMAIL_HOST, self.settings.EMAIL_PORT = mailbox.host, mailbox.port
        return mailbox

    def workflow(self, key: str, parameters: JSONObject, **secrets: str) -> str:
        """The id of an active workflow of the template, without an error or a warning."""
        for name, value in secrets.items():
            create_secret(owner=self.user, name=name, value=value)
        template = Template.objects.get(gallery_key=key)
        # The template's own word on what it needs is right.
        assert sorted(secrets) == template.secret_names
        body = {"name": key, "description": "mine", "parameters": parameters}
        made = self.api.post(f"/templates/{template.pk}/create-workflow", body)
        assert made.status == 201, made.body
        id_ = str(made.data["id"])
        judged = report(current_definition(Workflow.objects.get(pk=id_)))
        assert (judged.errors, judged.warnings) == ([], [])
        activated = self.api.call("PATCH", f"/workflows/{id_}", {"status": "active"})
        assert activated.status == 200, activated.body
        return id_

    def start(self, workflow_id: str, parameters: JSONObject | None = None) -> str:
        """The id of an execution, run as far as it goes without a clock."""
        started = self.api.post(f"/workflows/{workflow_id}/execute", {"parameters": parameters or {}})
        assert started.status == 201, started.body
        self.bells.work()
        return str(started.data["execution_id"])

    def answer(self, execution_id: str, signal: str, data: JSONObject) -> Answer:
        """Send a signal, and go on."""
        sent = self.api.post(f"/executions/{execution_id}/signals/{signal}", {"data": data})
        self.bells.work()
        return sent

    def pass_time(self) -> None:
        """All that waits falls due: pauses between attempts and rounds, and time limits of signals."""
        due = ComponentRun.objects.filter(status="waiting", wake_at__isnull=False)
        due.update(wake_at="2000-01-01T00:00:00Z")
        maintenance.wake_due()
        self.bells.work()

    def end(self, execution_id: str) -> JSONObject:
        """The execution over REST when it has ended, with time passing as needed."""
        for _ in range(60):
            shown: JSONObject = self.api.get(f"/executions/{execution_id}").data
            if shown["completed_at"] is not None:
                return shown
            self.pass_time()
        raise AssertionError(f"{execution_id} is still {shown['status']}")

    def run(self, key: str, setup: JSONObject, parameters: JSONObject | None = None, **secrets: str) -> JSONObject:
        """Make the workflow, execute it, and give back how it ended."""
        return self.end(self.start(self.workflow(key, setup, **secrets), parameters))


def always(status: int, body: JSONValue = None) -> Answers:
    """The same answer to everything."""
    return lambda request: (status, body)


def by_path(**answers: tuple[int, JSONValue]) -> Answers:
    """An answer by the first part of the path; 404 for others."""
    return lambda request: answers.get(request.path.split("/")[1], (404, None))


def statuses(execution: JSONObject) -> dict[str, str]:
    """How each component ended, the bodies of loops left out."""
    runs = ComponentRun.objects.filter(execution=execution["id"], item_index=None)
    return dict(runs.values_list("component_id", "status"))


def taken(execution: JSONObject) -> set[str]:
    """The components that ran to a good end."""
    return {id_ for id_, status in statuses(execution).items() if status == "completed"}


def mails(mailbox: Mailbox) -> list[Any]:
    return [message_from_bytes(envelope.content, policy=default) for envelope in mailbox.messages]


def text_of(mail: Any, subtype: str = "plain") -> str:
    return str(mail.get_body((subtype,)).get_content())


def ended(execution: JSONObject, status: str = "completed") -> JSONValue:
    """The results of an execution that ended so."""
    assert (execution["status"], execution["error_message"] if status == "completed" else None) == (status, None)
    return execution["results"]
