"""What a client may say on the WebSocket, read as strictly as a body."""

from dataclasses import dataclass
from typing import Any, Literal

from rest_framework import serializers

from core.errors import BadRequestError, NotFoundError, Problem, ValidationFailedError
from core.ids import parse_id
from core.serializers import StrictCharField, StrictIntegerField, StrictSerializer
from core.strict_json import StrictJSONError, UnstorableTextError, check_storable, loads

Channel = Literal["execution", "workflow", "system"]
MAX_TOKEN_CHARS = 8192
MAX_ID_CHARS = 128


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its type, the client's id of it ("" where it gave none), and its data."""

    type: str
    id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A channel and what of: an execution's or a workflow's id, "" for the system."""

    channel: Channel
    subject_id: str

    @property
    def data(self) -> dict[str, Any]:
        """As messages name it."""
        return {"channel": self.channel} | ({f"{self.channel}_id": self.subject_id} if self.subject_id else {})


class MessageSerializer(StrictSerializer):
    """The reference's message format; `ping` needs no data."""

    type = serializers.ChoiceField(choices=["subscribe", "unsubscribe", "ping", "authenticate"])
    id = StrictCharField(max_length=MAX_ID_CHARS)
    timestamp = StrictCharField(required=False, max_length=64)
    data = serializers.DictField(required=False)  # type: ignore[assignment]  # the field hides nothing we use


class PlaceSerializer(StrictSerializer):
    """`data` of `unsubscribe`."""

    channel = serializers.ChoiceField(choices=["execution", "workflow", "system"])
    execution_id = StrictCharField(required=False, max_length=64)
    workflow_id = StrictCharField(required=False, max_length=64)


class SubscribeSerializer(PlaceSerializer):
    """`data` of `subscribe`; `since` is a sequence number of the execution's."""

    since = StrictIntegerField(required=False, min_value=0, max_value=2**31 - 1)


class TokenSerializer(StrictSerializer):
    """`data` of `authenticate`."""

    token = StrictCharField(max_length=MAX_TOKEN_CHARS)


def id_in(text: str) -> str:
    """The id in a message, however wrong the rest of it is; "" where there is none."""
    try:
        found = loads(text.encode())
        given = found.get("id") if isinstance(found, dict) else None
        # Half a character could not be sent back.
        check_storable(given)
    except (StrictJSONError, UnstorableTextError):
        return ""
    return given if isinstance(given, str) and len(given) <= MAX_ID_CHARS else ""


def parse(text: str) -> Message:
    """Raises BadRequestError for what is no JSON object, ValidationFailedError naming the field."""
    try:
        found = loads(text.encode())
        check_storable(found)
    except StrictJSONError as error:
        raise BadRequestError(f"Not JSON: {error}") from None
    except UnstorableTextError as error:
        raise ValidationFailedError(problems=[Problem(str(error).capitalize(), field=error.path or None)]) from None
    if not isinstance(found, dict):
        raise BadRequestError("A message is a JSON object")
    fields = MessageSerializer(data=found).validated()
    return Message(fields["type"], fields["id"], fields.get("data", {}))


def parse_place(data: dict[str, Any], *, since: bool = False) -> tuple[Place, int | None]:
    """The channel of a subscribe (with `since`) or unsubscribe, and the sequence number to go on from.

    Raises ValidationFailedError; NotFoundError for what is no id.
    """
    serializer = SubscribeSerializer if since else PlaceSerializer
    try:
        fields = serializer(data=data).validated()
    except ValidationFailedError as error:
        raise ValidationFailedError(problems=[_inside(problem) for problem in error.problems]) from None
    channel: Channel = fields["channel"]
    wanted = {"execution": "execution_id", "workflow": "workflow_id"}.get(channel)
    given = {name for name in ("execution_id", "workflow_id") if name in fields}
    if wanted is not None and wanted not in given:
        raise ValidationFailedError(problems=[Problem("This field is required.", field=f"data.{wanted}")])
    if extra := given - {wanted}:
        raise ValidationFailedError(problems=[Problem("Not for this channel", field=f"data.{min(extra)}")])
    if "since" in fields and channel != "execution":
        raise ValidationFailedError(problems=[Problem("Only executions number their events", field="data.since")])
    if wanted is None:
        return Place(channel, ""), None
    try:
        return Place(channel, parse_id(fields[wanted])), fields.get("since")
    except ValueError:
        raise NotFoundError(f"{channel.capitalize()} not found") from None


def parse_token(data: dict[str, Any]) -> str:
    """The token of `authenticate`. Raises ValidationFailedError."""
    try:
        token: str = TokenSerializer(data=data).validated()["token"]
    except ValidationFailedError as error:
        raise ValidationFailedError(problems=[_inside(problem) for problem in error.problems]) from None
    return token


def _inside(problem: Problem) -> Problem:
    field = "data" if problem.field is None else f"data.{problem.field}"
    return Problem(problem.message, field=field, code=problem.code, details=problem.details)
