"""Lists of the admin over tables with millions of rows: paged by key, counted up to a cap, searched through indexes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Field, GenericIPAddressField, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.audited_admin import ReadOnlyAdmin
from accounts.models import User
from core.ids import first_id
from core.table_facts import estimated_rows

COUNT_CAP = 1_000
OLDER, NEWER = "older", "newer"


class KeysetChangeList(ChangeList):
    """The newest first, by primary key: a page costs the same however deep it lies.

    `?older=KEY` is the page after a row, `?newer=KEY` the one before it, `?newer=` the oldest. What there is is counted
    up to COUNT_CAP; of more, a list without a filter tells PostgreSQL's estimate.
    """

    model_admin: "BigListAdmin"
    anchors: dict[str, str]
    older_url: str | None = None
    newer_url: str | None = None
    oldest_url: str | None = None
    newest_url: str | None = None
    count_text: str

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # Before filters are read from them, and out of every link that is made of them.
        found = {name: str(self.params.pop(name)) for name in (OLDER, NEWER) if name in self.params}
        for name in found:
            self.filter_params.pop(name)
        self.anchors = getattr(self, "anchors", {}) | found
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        try:
            rows = self._read_page()
            self.count_text = self._count()
        except (ValidationError, ValueError, DataError) as error:
            raise IncorrectLookupParameters(error) from error
        self.result_list = rows
        # What Django's templates ask for; they offer no "all of them": an action is done to what one has seen.
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count, self.show_admin_actions = False, True
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)

    @property
    def link_filters(self) -> Sequence[tuple[str, str, str]]:
        """(what, value, address of the list without it) of the filters that a link brought."""
        asked = [name for name in self.model_admin.link_lookups if name in self.filter_params]
        return [
            (name.partition("__")[0].replace("_", " "), self.params[name], self.get_query_string(remove=[name]))
            for name in asked
        ]

    def _read_page(self) -> list[Any]:
        size, key = self.list_per_page, self.model._meta.pk
        assert key is not None, "every model has one"
        older, newer = self.anchors.get(OLDER), self.anchors.get(NEWER)
        if newer is not None:
            later = self.queryset.filter(pk__gt=key.to_python(newer)) if newer else self.queryset
            rows = list(later.order_by("pk")[: size + 1])
            has_newer, has_older = len(rows) > size, bool(newer)
            rows = rows[:size][::-1]
        else:
            earlier = self.queryset.filter(pk__lt=key.to_python(older)) if older else self.queryset
            rows = list(earlier[: size + 1])
            has_newer, has_older = bool(older), len(rows) > size
            rows = rows[:size]
        if has_older:
            self.oldest_url = self.get_query_string({NEWER: ""})
            self.older_url = self.get_query_string({OLDER: rows[-1].pk}) if rows else self.oldest_url
        if has_newer:
            self.newest_url = self.get_query_string()
            self.newer_url = self.get_query_string({NEWER: rows[0].pk}) if rows else self.newest_url
        return rows

    def _count(self) -> str:
        counted = self.queryset.order_by()[: COUNT_CAP + 1].count()
        if counted <= COUNT_CAP:
            return f"{counted:,}"
        if not (self.query or self.get_filters_params()):
            estimate = estimated_rows(self.model._meta.db_table)
            if estimate > COUNT_CAP:
                return f"about {_rounded(estimate):,}"
        return f"more than {COUNT_CAP:,}"


class BigListAdmin(ReadOnlyAdmin):
    """Pages of a table that may have millions of rows.

    `search_fields` are columns of the table, each with an index: the text is looked up as it is, in those that could
    hold it. `account_field` is the column of an account, which is then found by an exact e-mail or username.
    `link_lookups` are filters that other pages link to, each with an index that has the keys in order.
    `list_filter` is for what has its choices without asking the table.
    """

    list_max_show_all = 0
    sortable_by = ()
    ordering = ("-pk",)
    # Not False, of which Django makes a join of every table that is referred to.
    list_select_related: ClassVar[Any] = ()
    account_field: ClassVar[str] = ""
    link_lookups: ClassVar[Sequence[str]] = ()
    change_list_template = "admin/big_change_list.html"

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return KeysetChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        names = [str(_column(self.model, name).verbose_name) for name in self.search_fields]
        if self.account_field:
            names.append("an account's e-mail or username")
        found.search_help_text = "Finds exactly: " + ", ".join(names)
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # What one account did, and what came from one address, may be much: an index alone has it in order.
        if self.account_field and (user := User.objects.by_login(term)) is not None:
            return queryset.filter(**{self.account_field: user.pk}), False
        wanted = Q()
        for name in self.search_fields:
            column = _column(self.model, name)
            value = _parsed(column, term)
            if value is not None and isinstance(column, GenericIPAddressField):
                return queryset.filter(**{name: value}), False
            if value is not None:
                wanted |= Q(**{name: value})
        return (queryset.filter(wanted) if wanted else queryset.none()), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        # Django allows any condition on any column, to whoever types it: a look at every row.
        if lookup in self.link_lookups:
            return True
        for each in self.list_filter:
            if isinstance(each, type) and issubclass(each, admin.SimpleListFilter):
                if lookup == each.parameter_name:
                    return True
            elif isinstance(each, str) and lookup in {each, f"{each}__exact", f"{each}__isnull"}:
                return True
        return False

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *more: Any) -> Any:
        # Of what has been seen only: "all" may be millions.
        post = request.POST.copy()
        post["select_across"] = "0"
        request.POST = post  # type: ignore[assignment]  # as Django's own middleware does
        return super().response_action(request, queryset, *more)


class MadeFilter(admin.SimpleListFilter):
    """When it was made, by the time in its id: of tables whose key is a ULID."""

    title = "when"
    parameter_name = "made"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Last hour"), ("24", "Last 24 hours"), ("168", "Last 7 days"), ("720", "Last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in dict(self.lookup_choices):
            return queryset
        since = timezone.now() - timedelta(hours=int(self.value() or 0))
        return queryset.filter(pk__gte=first_id(since))


def _column(model: type[Model], name: str) -> "Field[Any, Any]":
    key = model._meta.pk
    field = key if name == "pk" else model._meta.get_field(name)
    assert isinstance(field, Field), f"{name} is no column of {model.__name__}"
    return field


def _parsed(field: "Field[Any, Any]", text: str) -> Any:
    """The text as a value of the column; None where it cannot be one."""
    target = getattr(field, "target_field", field)
    try:
        return target.to_python(text) if target.primary_key else target.clean(text, None)
    except ValidationError:
        return None


def _rounded(number: int) -> int:
    """To two digits and zeros: an estimate that does not pretend."""
    step: int = 10 ** max(len(str(number)) - 2, 0)
    return int(number / step + 0.5) * step
