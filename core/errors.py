"""The contract's error codes and the one tree of errors that services raise (contract §3)."""

import dataclasses
from collections.abc import Iterable
from enum import StrEnum
from itertools import islice
from typing import Any


class ErrorCode(StrEnum):
    """The codes of the API reference, "Error Codes"."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR"
    AUTHORIZATION_ERROR = "AUTHORIZATION_ERROR"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    RESOURCE_CONFLICT = "RESOURCE_CONFLICT"
    WORKFLOW_INVALID = "WORKFLOW_INVALID"
    EXECUTION_FAILED = "EXECUTION_FAILED"
    COMPONENT_ERROR = "COMPONENT_ERROR"
    TIMEOUT_ERROR = "TIMEOUT_ERROR"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    SYSTEM_ERROR = "SYSTEM_ERROR"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an answer's `errors`: what is wrong, where (`field`, a path) and what was expected."""

    message: str
    field: str | None = None
    code: ErrorCode | None = None  # None: the code of the error that carries it
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


MAX_PROBLEMS = 100


def bounded(problems: Iterable[Problem]) -> list[Problem]:
    """The first MAX_PROBLEMS of them, and a word of it where there are more: a small body may hold a million faults."""
    found = list(islice(problems, MAX_PROBLEMS + 1))
    if len(found) > MAX_PROBLEMS:
        found[-1] = Problem(f"More is wrong than these {MAX_PROBLEMS} faults")
    return found


class APGError(Exception):
    """Root of the tree. `code` and `status` are the contract's; `problems` name the fields.

    Raise a subclass; one handler turns it into the envelope, so nothing in between needs to catch it. Of very many
    problems the first are kept (`bounded`).
    """

    code = ErrorCode.SYSTEM_ERROR
    status = 500
    default_message = "Internal server error"

    def __init__(self, message: str = "", *, problems: Iterable[Problem] = ()) -> None:
        self.message = message or self.default_message
        self.problems = tuple(bounded(problems))
        super().__init__(self.message)


class BadRequestError(APGError):
    """The request cannot be read: broken JSON, wrong content type, a bad query parameter. Fix the request."""

    code = ErrorCode.VALIDATION_ERROR
    status = 400
    default_message = "Invalid request"


class ValidationFailedError(APGError):
    """The body was read, and fields in it are invalid. `problems` has one entry for each."""

    code = ErrorCode.VALIDATION_ERROR
    status = 422
    default_message = "Validation failed"


class WorkflowInvalidError(APGError):
    """A stored definition cannot run (missing part, rejected by validation). Fix the workflow, then try again."""

    code = ErrorCode.WORKFLOW_INVALID
    status = 422
    default_message = "Workflow definition is invalid"


class AuthenticationFailedError(APGError):
    """No credentials, or bad ones. Log in again."""

    code = ErrorCode.AUTHENTICATION_ERROR
    status = 401
    default_message = "Authentication required"


class NotAllowedError(APGError):
    """The caller sees the object and may not do this to it, or the credential lacks the scope."""

    code = ErrorCode.AUTHORIZATION_ERROR
    status = 403
    default_message = "Insufficient permissions"


class NotFoundError(APGError):
    """The object does not exist, or the caller may not know that it does."""

    code = ErrorCode.RESOURCE_NOT_FOUND
    status = 404
    default_message = "Resource not found"


class MethodNotAllowedError(APGError):
    """The address exists and does not take this HTTP method."""

    code = ErrorCode.VALIDATION_ERROR
    status = 405
    default_message = "Method not allowed"


class ConflictError(APGError):
    """Duplicate name, stale version, or a state in which the action makes no sense."""

    code = ErrorCode.RESOURCE_CONFLICT
    status = 409
    default_message = "Resource conflict"


class TooLargeError(APGError):
    """The body is over the limit. Send less."""

    code = ErrorCode.VALIDATION_ERROR
    status = 413
    default_message = "Request body too large"


class RateLimitedError(APGError):
    """Over the rate of the caller's tier; `retry_after` whole seconds until the next request passes."""

    code = ErrorCode.RATE_LIMIT_EXCEEDED
    status = 429
    default_message = "Rate limit exceeded"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__()


class UnavailableError(APGError):
    """PostgreSQL or Redis is away. Nothing was changed, or the same request repeated is safe; try again."""

    code = ErrorCode.SYSTEM_ERROR
    status = 503
    default_message = "Service temporarily unavailable"
