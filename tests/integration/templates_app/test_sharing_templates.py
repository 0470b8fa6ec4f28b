"""Who sees a template, publishing, rating, and the list."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.api_keys import create_api_key
from accounts.models import AuditEntry, User
from accounts.scopes import Scope
from templates_app.models import Template, TemplateRating
from tests.api import Api
from tests.integration.templates_app.conftest import DEFINITION, make, publish
from tests.integration.workflows.conftest import make as make_workflow

pytestmark = pytest.mark.django_db


def names(api: Api, query: str = "") -> list[str]:
    """The names in a list, in its order."""
    answer = api.get(f"/templates?{query}")
    assert answer.status == 200, answer.body
    assert answer.body["metadata"]["total_count"] == len(answer.data)
    return [item["name"] for item in answer.data]


def test_a_private_template_is_its_owners_and_staffs(alice_api: Api, bob_api: Api, admin_api: Api) -> None:
    id_ = make(alice_api, "mine")
    assert (names(alice_api), names(admin_api), names(bob_api)) == (["mine"], ["mine"], [])
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"name": "x", "workflow_definition": DEFINITION}),
        ("PATCH", "", {"name": "x"}),
        ("PATCH", "", {"published": True}),
        ("DELETE", "", None),
        ("POST", "/create-workflow", {"name": "x"}),
        ("POST", "/rate", {"rating": 5}),
    ):
        answer = bob_api.call(method, f"/templates/{id_}{path}", body)
        assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND"), (method, path)
    assert Template.objects.get().name == "mine"
    assert TemplateRating.objects.count() == 0


def test_staff_publish_and_nobody_else(alice_api: Api, bob_api: Api, admin_api: Api) -> None:
    id_ = make(alice_api, "mine")
    refused = alice_api.call("PATCH", f"/templates/{id_}", {"published": True})
    assert (refused.status, refused.code) == (403, "AUTHORIZATION_ERROR")
    assert names(bob_api) == []
    published = admin_api.call("PATCH", f"/templates/{id_}", {"published": True})
    assert (published.status, published.data["published"]) == (200, True)
    assert names(bob_api) == ["mine"]
    shown = bob_api.get(f"/templates/{id_}").data
    assert shown["permissions"] == {"can_edit": False, "can_delete": False, "can_publish": False, "can_rate": True}
    # Seen, and not theirs.
    for method, body in (("PATCH", {"name": "x"}), ("PATCH", {"published": False}), ("DELETE", None)):
        assert bob_api.call(method, f"/templates/{id_}", body).status == 403
    assert Template.objects.get().name == "mine"


def test_what_its_owner_changes_is_private_again_until_staff_publish_it(
    alice_api: Api, bob_api: Api, admin_api: Api
) -> None:
    id_ = make(alice_api, "mine")
    publish(id_)
    assert admin_api.call("PATCH", f"/templates/{id_}", {"description": "corrected"}).data["published"] is True
    assert alice_api.call("PATCH", f"/templates/{id_}", {"description": "corrected"}).data["published"] is True
    assert alice_api.call("PATCH", f"/templates/{id_}", {"description": "mine"}).data["published"] is False
    assert bob_api.get(f"/templates/{id_}").status == 404


def test_ratings_make_a_mean_and_a_second_one_replaces_the_first(
    alice_api: Api, bob_api: Api, admin_api: Api, bob: User
) -> None:
    id_ = make(alice_api)
    publish(id_)
    first = bob_api.post(f"/templates/{id_}/rate", {"rating": 5})
    assert (first.status, first.data) == (200, {"id": id_, "rating": 5.0, "rating_count": 1, "your_rating": 5})
    assert admin_api.post(f"/templates/{id_}/rate", {"rating": 2}).data["rating"] == 3.5
    again = bob_api.post(f"/templates/{id_}/rate", {"rating": 1}).data
    assert (again["rating"], again["rating_count"]) == (1.5, 2)
    shown = alice_api.get(f"/templates/{id_}").data
    assert (shown["rating"], shown["rating_count"]) == (1.5, 2)
    assert AuditEntry.objects.filter(action="template.rated", actor_id=bob.pk).count() == 2


def test_nobody_rates_their_own(alice_api: Api) -> None:
    id_ = make(alice_api)
    answer = alice_api.post(f"/templates/{id_}/rate", {"rating": 5})
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert Template.objects.get().rating_count == 0


@pytest.mark.parametrize("rating", [0, 6, 4.5, "5", True, None])
def test_a_rating_is_a_whole_number_from_one_to_five(alice_api: Api, bob_api: Api, rating: object) -> None:
    id_ = make(alice_api)
    publish(id_)
    answer = bob_api.post(f"/templates/{id_}/rate", {"rating": rating})
    assert (answer.status, answer.fields) == (422, ["rating"])
    assert TemplateRating.objects.count() == 0


def test_the_list_leaves_out_what_may_be_large(caller: Api) -> None:
    id_ = make(caller, documentation="long")
    (item,) = caller.get("/templates").data
    whole = caller.get(f"/templates/{id_}").data
    assert set(whole) - set(item) == {"workflow_definition", "documentation", "permissions"}
    assert item == {name: whole[name] for name in item}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=data", ["b", "a"]),
        ("category=dat", []),
        ("complexity=expert", ["c"]),
        ("search=FIRST", ["a"]),
        ("search=" + quote("100%"), ["c"]),
        ("search=" + quote("%"), ["c"]),
        ("category=data&complexity=beginner", ["b"]),
        ("sort=name", ["a", "b", "c"]),
        ("sort=name&order=desc", ["c", "b", "a"]),
        ("sort=rating", ["b", "c", "a"]),
        ("sort=usage_count&order=asc", ["b", "c", "a"]),
        ("sort=created_at&order=asc", ["a", "b", "c"]),
        ("", ["c", "b", "a"]),
    ],
)
def test_filters_and_orders(alice_api: Api, query: str, expected: list[str]) -> None:
    make(alice_api, "a", description="The first one", category="data", complexity_level="advanced")
    make(alice_api, "b", category="data")
    make(alice_api, "c", description="100% sure", complexity_level="expert")
    for name, rating, uses in (("a", 1, 9), ("b", 4.5, 0), ("c", 3, 2)):
        Template.objects.filter(name=name).update(rating=rating, usage_count=uses)
    assert names(alice_api, query) == expected


def test_created_by_lists_ones_own(alice_api: Api, bob_api: Api, alice: User) -> None:
    make(bob_api, "theirs")
    make(alice_api, "mine")
    Template.objects.update(published=True)
    assert names(bob_api, f"created_by={alice.pk}") == ["mine"]


def test_pages(alice_api: Api) -> None:
    for name in "abc":
        make(alice_api, name)
    answer = alice_api.get("/templates?sort=name&limit=2&offset=1")
    assert [item["name"] for item in answer.data] == ["b", "c"]
    paging = {name: answer.body["metadata"][name] for name in ("total_count", "limit", "offset", "has_more")}
    assert paging == {"total_count": 3, "limit": 2, "offset": 1, "has_more": False}


def test_the_list_takes_as_many_queries_for_many_as_for_one(alice_api: Api, bob_api: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert alice_api.get("/templates").status == 200
        return len(captured)

    make(alice_api, "a")
    one = queries()
    for number in range(5):
        make(alice_api, f"a{number}")
        publish(make(bob_api, f"b{number}"))
    # Who calls, how many there are, and the page with its authors.
    assert (one, queries()) == (3, 3)


def test_an_author_is_a_name_and_no_address(alice_api: Api, as_user: Callable[..., Api]) -> None:
    nameless = User.objects.create_user("carol@example.com", "correct-horse-battery")
    id_ = make(as_user(nameless), "hers")
    publish(id_)
    assert alice_api.get(f"/templates/{id_}").data["author"] == "carol"


def test_a_second_scope_is_needed_where_a_workflow_is_read_or_made(alice: User, alice_api: Api) -> None:
    workflow, id_ = make_workflow(alice_api, "w"), make(alice_api)

    def key(*scopes: Scope) -> Api:
        _, text = create_api_key(owner=alice, name=f"k{len(scopes)}", permissions=list(scopes))
        return Api(key=text)

    body = {"name": "n", "parameters": {"source_url": "https://x"}}
    for scopes, status in (
        ((Scope.TEMPLATE_READ,), 403),
        ((Scope.WORKFLOW_WRITE,), 403),
        ((Scope.TEMPLATE_READ, Scope.WORKFLOW_WRITE), 201),
    ):
        assert key(*scopes).post(f"/templates/{id_}/create-workflow", body).status == status
    body = {"name": "n", "workflow_id": workflow}
    for scopes, status in (
        ((Scope.TEMPLATE_WRITE,), 403),
        ((Scope.WORKFLOW_READ,), 403),
        ((Scope.TEMPLATE_WRITE, Scope.WORKFLOW_READ), 201),
    ):
        assert key(*scopes).post("/templates", body).status == status


def test_the_admin_shows_templates_and_changes_none(admin: User, alice_api: Api) -> None:
    id_ = make(alice_api, "<script>")
    browser = Client()
    browser.force_login(admin)
    assert "&lt;script&gt;" in browser.get("/admin/templates_app/template/").content.decode()
    page = f"/admin/templates_app/template/{id_}/change/"
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"name": "x"}).status_code == 403
    assert browser.get("/admin/templates_app/template/add/").status_code == 403
    assert Template.objects.get().name == "<script>"
