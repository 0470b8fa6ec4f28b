"""The secrets of a workflow's owner in one execution: those that the definition reads, opened in the worker alone."""

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from accounts.secret_store import values_of
from workflows.components.base import SecretMissingError
from workflows.expressions import References
from workflows.models import Workflow


def load(reads: References, workflow_id: str) -> dict[str, str]:
    """Name -> value of what is read and exists; no query where nothing is read.

    All that the definition reads, not what one component does: an output of an earlier one may hold any of them,
    and what a later one makes of it must be redacted too. Raises accounts.vault.SealBrokenError.
    """
    if not reads.secrets and not reads.all_secrets:
        return {}
    owner_id = Workflow.objects.filter(pk=workflow_id).values_list("created_by_id", flat=True).first()
    # Deleted since the run was claimed: what it would do is not recorded any more.
    return {} if owner_id is None else values_of(owner_id, None if reads.all_secrets else reads.secrets)


def texts_to_hide(secrets: Mapping[str, str]) -> Iterator[str]:
    """What must not be told: each value, and the password alone where a value is a URL with one."""
    for value in secrets.values():
        yield value
        if "://" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                continue  # no URL after all
            if password:
                yield password
                yield unquote(password)


def getter(secrets: Mapping[str, str]) -> Callable[[str], str]:
    """`Context.secret` for one execution."""

    def get(name: str) -> str:
        if name not in secrets:
            raise SecretMissingError(name)
        return secrets[name]

    return get
