"""Lists of the admin over big tables: paged by key, counted up to a cap, searched and filtered through indexes."""

import re
from collections.abc import Sequence
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from core.ids import first_id, new_id

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/auditentry/"


@pytest.fixture
def browser(admin: User) -> Client:
    """Logged in to the admin."""
    client = Client()
    client.force_login(admin)
    return client


def entries(count: int, **fields: object) -> list[str]:
    """So many entries' keys, the newest first."""
    made = [AuditEntry(pk=new_id(), action="workflow.updated", **fields) for _ in range(count)]
    return [entry.pk for entry in AuditEntry.objects.bulk_create(made)][::-1]


def shown(page: str) -> list[str]:
    return re.findall(r"/admin/accounts/auditentry/(\w+)/change/", page)


def link(page: str, name: str) -> str | None:
    found = re.search(rf'<a href="([^"]+)"[^>]*>[^<]*{name}[^<]*</a>', page)
    return LIST + unescape(found[1]) if found else None


def read(browser: Client, path: str = LIST) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, (path, answer.headers.get("Location"))
    return answer.content.decode()


def test_every_row_is_on_one_page_going_older_and_back(browser: Client) -> None:
    keys = entries(120)
    first = read(browser)
    second = read(browser, link(first, "Older") or "")
    third = read(browser, link(second, "Older") or "")
    assert [shown(page) for page in (first, second, third)] == [keys[:50], keys[50:100], keys[100:]]
    assert (link(first, "Newer"), link(first, "Newest"), link(third, "Older"), link(third, "Oldest")) == (None,) * 4
    assert shown(read(browser, link(third, "Newer") or "")) == keys[50:100]
    assert shown(read(browser, link(third, "Newest") or "")) == keys[:50]
    oldest = read(browser, link(first, "Oldest") or "")
    assert shown(oldest) == keys[70:]
    assert shown(read(browser, link(oldest, "Newer") or "")) == keys[20:70]


def test_filters_stay_while_paging_and_a_new_filter_begins_at_the_newest(browser: Client) -> None:
    entries(60)
    other = entries(60, object_type="share")
    first = read(browser, f"{LIST}?object_type=share")
    assert shown(first) == other[:50]
    second = read(browser, link(first, "Older") or "")
    assert shown(second) == other[50:]
    assert "older=" not in "".join(re.findall(r'href="(\?action=[^"]*)"', second))
    assert "object type: <b>share</b>" in second


@pytest.mark.parametrize(
    ("rows", "query", "expected"),
    [(0, "", "0"), (1, "", "1"), (1000, "", "1,000"), (1001, "?object_type=", "more than 1,000")],
)
def test_what_there_is_is_counted_up_to_a_cap(browser: Client, rows: int, query: str, expected: str) -> None:
    entries(rows)
    assert f"<span>{expected} audit entr" in read(browser, LIST + query)


def test_of_more_than_the_cap_a_list_tells_the_estimate(browser: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_auditentry")
    entries(1260)
    assert "<span>more than 1,000 audit entries</span>" in read(browser)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_auditentry")
    assert "<span>about 1,300 audit entries</span>" in read(browser)


def test_no_page_counts_or_sorts_the_whole_table(browser: Client) -> None:
    entries(60)
    for path in (LIST, f"{LIST}?older={entries(1)[0]}", f"{LIST}?newer=", f"{LIST}?q=nobody"):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            read(browser, path)
        asked = [query["sql"] for query in captured if "accounts_auditentry" in query["sql"]]
        assert len(asked) == 2
        assert all("LIMIT" in sql for sql in asked), asked


@pytest.mark.parametrize("text", ["older=nonsense", "newer=nonsense", "made=x", "action=x", "object_id=%00"])
def test_nonsense_in_the_address_is_no_error_of_the_server(browser: Client, text: str) -> None:
    assert browser.get(f"{LIST}?{text}").status_code in {200, 302}


@pytest.mark.parametrize("text", ["details__icontains=x", "at__gte=2020-01-01", "actor__startswith=a"])
def test_a_condition_without_an_index_is_refused(browser: Client, text: str) -> None:
    assert browser.get(f"{LIST}?{text}").status_code == 400


@pytest.mark.parametrize(
    ("column", "value", "term"),
    [
        ("object_id", "THING", "THING"),
        ("address", "10.1.2.3", " 10.1.2.3 "),
        ("actor_id", None, "ALICE@example.com"),
        ("actor_id", None, "alice"),
    ],
)
def test_the_search_finds_exactly(browser: Client, alice: User, column: str, value: str | None, term: str) -> None:
    entries(2)
    found = entries(1, **{column: value or alice.pk})
    assert shown(read(browser, f"{LIST}?q={term}")) == found
    assert shown(read(browser, f"{LIST}?q={found[0]}")) == found
    assert shown(read(browser, f"{LIST}?q={term.strip()[:-1]}")) == []


def test_when_is_asked_of_the_ids(browser: Client) -> None:
    old = AuditEntry.objects.create(pk=first_id(timezone.now() - timedelta(hours=30)), action="workflow.updated")
    new = entries(1)
    assert shown(read(browser, f"{LIST}?made=24")) == new
    assert shown(read(browser, f"{LIST}?made=168")) == [*new, old.pk]


def chosen(keys: Sequence[str], **more: object) -> dict[str, object]:
    return {"action": "end_sessions", "index": 0, "_selected_action": list(keys), **more}


def test_an_action_is_done_to_what_is_chosen_and_never_to_all(browser: Client, alice_api: object, alice: User) -> None:
    path = "/admin/accounts/session/"
    browser.post(path, chosen(["nonsense"], select_across=1))
    assert alice.sessions.get().revoked_at is None
    browser.post(path, chosen([alice.sessions.get().pk, "nonsense"]))
    assert alice.sessions.get().revoked_at is not None
