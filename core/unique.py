"""A name that must be unique: the constraint decides, and its answer becomes a 409."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import IntegrityError

from core.errors import ConflictError, Problem


@contextmanager
def name_conflicts(constraint: str, message: str, advice: str, field: str = "name") -> Iterator[None]:
    """Raises ConflictError on `field` when `constraint` refuses the row; every other IntegrityError goes on.

    Not a look beforehand: two requests at once cannot both pass a constraint. Goes around the transaction.
    """
    try:
        yield
    except IntegrityError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error) or cause.diag.constraint_name != constraint:
            raise
        raise ConflictError(message, problems=[Problem(advice, field=field)]) from None
