"""Queries that Django compiles once a process, and PostgreSQL plans once a connection: for those of every request."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models.query import get_related_populators
from psycopg.rows import TupleRow

M = TypeVar("M", bound=models.Model)


class Parameter(models.Expression):
    """Stands in a queryset for a value that each call gives."""

    def __init__(self, index: int, field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.index = index

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        # The parameter itself stands among the parameters, and is found there by `PreparedQuery`.
        return "%s", [self]


class IsAnyOf(models.Lookup):
    """`IsAnyOf(F("pk"), values)`: one parameter for a list of any length, where `__in` has one for each."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, left_parameters = self.process_lhs(compiler, connection)
        right, right_parameters = compiler.compile(self.rhs)
        return f"{left} = ANY({right})", [*left_parameters, *right_parameters]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: bytes
    parameters: tuple[Any, ...]
    columns: slice
    names: list[str]
    model: type[models.Model]
    compiler: Any
    converters: Any
    related: Sequence[Any]
    annotations: dict[str, int]


class PreparedQuery(Generic[M]):
    """A queryset of models, written as a function of its values.

    `build` is called once, with one `Parameter` for each of `fields`. Django takes about half a millisecond to build
    and compile a query and PostgreSQL another to plan it; a session is looked up at every request.
    """

    def __init__(self, build: "Callable[..., models.QuerySet[M]]", *fields: "models.Field[Any, Any]") -> None:
        self._build, self._fields = build, fields

    def all(self, *values: object) -> list[M]:
        """The models for these values, one for each of the fields."""
        compiled = self._compiled
        prepared = [
            item.field.get_db_prep_value(values[item.index], connection) if isinstance(item, Parameter) else item
            for item in compiled.parameters
        ]
        rows: Any = _fetch(compiled.sql, prepared)
        if compiled.converters:
            rows = compiled.compiler.apply_converters(rows, compiled.converters)
        return [self._model(compiled, row) for row in rows]

    def one(self, *values: object) -> M | None:
        """The first model for these values, or None."""
        found = self.all(*values)
        return found[0] if found else None

    @cached_property
    def _compiled(self) -> _Compiled:
        queryset = self._build(*(Parameter(index, field) for index, field in enumerate(self._fields)))
        compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        select, info = compiler.select, cast("dict[str, Any]", compiler.klass_info)
        places = info["select_fields"]
        columns = slice(places[0], places[-1] + 1)
        return _Compiled(
            sql=sql.encode(),
            parameters=tuple(parameters),
            columns=columns,
            names=[column[0].target.attname for column in select[columns]],
            model=info["model"],
            compiler=compiler,
            converters=compiler.get_converters([column[0] for column in select]),
            related=get_related_populators(info, select, DEFAULT_DB_ALIAS),  # type: ignore[call-arg]  # stubs of Django 6
            annotations=compiler.annotation_col_map or {},
        )

    def _model(self, compiled: _Compiled, row: Sequence[Any]) -> M:
        model = compiled.model.from_db(DEFAULT_DB_ALIAS, compiled.names, row[compiled.columns])
        for populator in compiled.related:
            populator.populate(row, model)
        for name, place in compiled.annotations.items():
            setattr(model, name, row[place])
        return cast("M", model)


def _fetch(sql: bytes, parameters: Sequence[Any]) -> list[TupleRow]:
    connection.ensure_connection()
    raw = cast("psycopg.Connection[TupleRow]", connection.connection)
    started = time.monotonic()
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.execute(sql, parameters, prepare=True)
        rows = cursor.fetchall()
    if connection.queries_logged:
        connection.queries_log.append({"sql": sql.decode(), "time": f"{time.monotonic() - started:.3f}"})
    return rows
