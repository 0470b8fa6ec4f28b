"""What can go wrong: one class for each code of the API, and those of the client itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `field` is a path such as `definition.components[0].config.url`."""

    code: str
    message: str
    field: str | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class APGError(Exception):
    """Everything that this package raises on purpose."""

    code: str = ""


class APIError(APGError):
    """The server refused.

    `code` is the API's, `status` that of HTTP (None where a WebSocket said it), `request_id` finds the log line on the
    server, `problems` name the fields, `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int | None = None,
        request_id: str | None = None,
        problems: Sequence[Problem] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status
        self.request_id = request_id
        self.problems = tuple(problems)
        self.retry_after = retry_after

    def __str__(self) -> str:
        told = [str(problem) for problem in self.problems if str(problem) != self.message]
        text = "; ".join([self.message, *told])
        return f"{text} (request {self.request_id})" if self.request_id else text


class ValidationError(APIError):
    """The request cannot be read, or fields of it are invalid: look at `problems`."""

    code = "VALIDATION_ERROR"


class AuthenticationError(APIError):
    """No credential, or one that is not good (any more)."""

    code = "AUTHENTICATION_ERROR"


class AuthorizationError(APIError):
    """The credential may not do this; perhaps a scope is missing."""

    code = "AUTHORIZATION_ERROR"


class NotFoundError(APIError):
    """Not there, or not for this caller to see."""

    code = "RESOURCE_NOT_FOUND"


class ConflictError(APIError):
    """A name that is taken, a version that is no longer the latest, a state in which it makes no sense."""

    code = "RESOURCE_CONFLICT"


class WorkflowInvalidError(APIError):
    """The stored definition cannot run."""

    code = "WORKFLOW_INVALID"


class RateLimitError(APIError):
    """Over the rate of the caller's tier, and still so after the retries."""

    code = "RATE_LIMIT_EXCEEDED"


class ServerError(APIError):
    """A fault of the server, or it is away: tell its operator the `request_id`."""

    code = "SYSTEM_ERROR"


class ExecutionFailedError(APIError):
    """An execution failed (`Execution.raise_if_failed`)."""

    code = "EXECUTION_FAILED"


class ComponentError(ExecutionFailedError):
    """An execution failed because one of its components did."""

    code = "COMPONENT_ERROR"


class ExecutionTimeoutError(ExecutionFailedError):
    """An execution, or a component of it, took longer than it may."""

    code = "TIMEOUT_ERROR"


class ConnectionFailedError(APGError):
    """No answer: the server cannot be reached, or the connection was cut.

    `sent` says whether the request may have arrived. If so, and it was not one that is safe to repeat, look before you
    send it again.
    """

    code = "CONNECTION_ERROR"

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class WaitTimeoutError(APGError, TimeoutError):
    """The execution had not ended when the time was up; it goes on."""

    code = "WAIT_TIMEOUT"


class SignatureError(APGError):
    """A webhook's payload, signature, time and secret do not belong together: do not trust the payload."""

    code = "INVALID_SIGNATURE"


class DefinitionError(APGError):
    """A definition is wrong, as found here; `problems` name the places."""

    code = "INVALID_DEFINITION"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


BY_CODE: Mapping[str, type[APIError]] = {
    found.code: found
    for found in (
        ValidationError, AuthenticationError, AuthorizationError, NotFoundError, ConflictError, WorkflowInvalidError,
        RateLimitError, ServerError, ExecutionFailedError, ComponentError, ExecutionTimeoutError,
    )
}  # fmt: skip
_BY_STATUS = {
    400: ValidationError, 401: AuthenticationError, 403: AuthorizationError, 404: NotFoundError, 405: ValidationError,
    409: ConflictError, 413: ValidationError, 422: ValidationError, 429: RateLimitError,
}  # fmt: skip


def error_class(code: str, status: int | None) -> type[APIError]:
    """The class of a code; of a code that is not known yet, and of answers that are not the API's, by status."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status is not None and status >= 500:
        return ServerError
    return _BY_STATUS.get(status or 0, APIError)
