"""Templates of the gallery with decisions and undoing, each run to its end, error paths too."""

import pytest

from core.types import JSONObject, JSONValue
from tests.integration.templates_app.gallery import Bench, ended, mails
from tests.stand_ins import Answers, Request

pytestmark = pytest.mark.django_db(transaction=True)

# --- approval-by-amount


@pytest.mark.parametrize(
    ("amount", "signals", "level"),
    [(500, [], "auto"), (500.01, ["manager"], "manager"), (9000, ["manager", "director"], "director")],
)
def test_approval_asks_those_whom_the_amount_needs(bench: Bench, amount: float, signals: list[str], level: str) -> None:
    mailbox = bench.mailbox()
    workflow = bench.workflow("approval-by-amount", {})
    given = {"amount": amount, "purpose": "a desk", "requester_email": "bob@example.com"}
    id_ = bench.start(workflow, given)
    for signal in signals:
        assert mailbox.messages == []
        assert bench.answer(id_, signal, {"approved": True, "comment": f"{signal} says yes"}).status == 200
    execution = bench.end(id_)
    by = bench.user.pk if signals else None
    comment = f"{level} says yes" if signals else ""
    assert ended(execution) == {"approved": True, "level": level, "by": by, "comment": comment}
    (mail,) = mails(mailbox)
    assert (mail["To"], mail["Subject"]) == ("bob@example.com", "Approved: a desk")


def test_approval_tells_of_a_no_and_of_no_answer(bench: Bench) -> None:
    mailbox = bench.mailbox()
    workflow = bench.workflow("approval-by-amount", {"auto_limit": 10, "answer_hours": 1})
    given = {"amount": 50, "purpose": "a lamp", "requester_email": "bob@example.com"}
    id_ = bench.start(workflow, given)
    bench.answer(id_, "manager", {"approved": False, "comment": "too dear"})
    results = ended(bench.end(id_))
    assert results == {"approved": False, "level": "manager", "by": bench.user.pk, "comment": "Rejected: too dear"}
    results = ended(bench.end(bench.start(workflow, given)))
    assert results == {"approved": False, "level": "manager", "by": None, "comment": "No answer within 3600 s"}
    assert [mail["Subject"] for mail in mails(mailbox)] == ["Not approved: a lamp"] * 2


# --- order-processing

ORDER = {
    "id": "A-17",
    "email": "ada@example.com",
    "currency": "EUR",
    "address": "1 Main St",
    "lines": [{"sku": "tea", "quantity": 2, "price": 4.5}, {"sku": "cup", "quantity": 1, "price": 3.25}],
}


def shop(**refused: int) -> Answers:
    """The three services of a shop; `refused` gives a status by the first part of the path."""
    good: dict[str, JSONValue] = {
        "stock": {"reservation_id": 7}, "pay": {"charge_id": "c/1"}, "ship": {"tracking": "T-1"},
    }  # fmt: skip

    def answers(request: Request) -> tuple[int, JSONValue]:
        part = request.path.split("/")[1]
        # Undoing is never refused.
        if part in refused and request.method == "POST" and not request.path.endswith("/refund"):
            return refused[part], None
        return 200, good[part]

    return answers


def order_setup(url: str) -> JSONObject:
    return {"inventory_url": f"{url}/stock", "payment_url": f"{url}/pay", "shipping_url": f"{url}/ship"}


def test_an_order_is_reserved_charged_shipped_and_confirmed(bench: Bench) -> None:
    mailbox, api = bench.mailbox(), bench.service(shop())
    execution = bench.run("order-processing", order_setup(api.url), {"order": ORDER}, SHOP_API_TOKEN="shop-token-1")
    assert ended(execution) == {"order_id": "A-17", "total": 12.25, "tracking": "T-1"}
    assert [(each.method, each.path) for each in api.seen] == [("POST", "/stock"), ("POST", "/pay"), ("POST", "/ship")]
    assert api.seen[1].body == {"order_id": "A-17", "amount": 12.25, "currency": "EUR"}
    (mail,) = mails(mailbox)
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", "Your order A-17 is on its way")


def test_an_order_that_cannot_be_shipped_is_refunded_and_released(bench: Bench) -> None:
    api = bench.service(shop(ship=422))
    execution = bench.run("order-processing", order_setup(api.url), {"order": ORDER}, SHOP_API_TOKEN="shop-token-1")
    ended(execution, "failed")
    assert execution["error_message"] == "Order A-17 was not processed: The server answered 422"
    assert [(each.method, each.path) for each in api.seen[3:]] == [
        ("POST", "/pay/c%2F1/refund"),
        ("DELETE", "/stock/7"),
    ]


def test_an_order_that_is_not_paid_is_released_and_one_that_is_none_is_refused(bench: Bench) -> None:
    api = bench.service(shop(pay=402))
    workflow = bench.workflow("order-processing", order_setup(api.url), SHOP_API_TOKEN="shop-token-1")
    execution = bench.end(bench.start(workflow, {"order": ORDER}))
    ended(execution, "failed")
    assert [(each.method, each.path) for each in api.seen[2:]] == [("DELETE", "/stock/7")]
    execution = bench.end(bench.start(workflow, {"order": {**ORDER, "lines": []}}))
    ended(execution, "failed")
    assert len(api.seen) == 3


# --- retry-with-backoff-client


def client_setup(url: str) -> JSONObject:
    return {"primary_url": f"{url}/primary", "fallback_url": f"{url}/fallback", "parking_url": f"{url}/park"}


def test_the_client_tries_again_until_the_primary_answers(bench: Bench) -> None:
    api = bench.service(lambda request: (503, None) if len(api.seen) < 5 else (201, {"ok": True}))
    execution = bench.run(
        "retry-with-backoff-client", client_setup(api.url), {"payload": {"n": 1}}, API_TOKEN="api-token-1"
    )
    assert ended(execution) == {"via": "primary", "status_code": 201, "body": {"ok": True}}
    assert [each.path for each in api.seen] == ["/primary"] * 5
    assert len({each.headers["idempotency-key"] for each in api.seen}) == 1


def test_the_client_falls_back_then_parks_but_not_what_is_wrong(bench: Bench) -> None:
    answers: dict[str, tuple[int, JSONValue]] = {"primary": (503, None), "fallback": (200, "b"), "park": (202, None)}
    api = bench.service(lambda request: answers[request.path[1:]])
    workflow = bench.workflow("retry-with-backoff-client", client_setup(api.url), API_TOKEN="api-token-1")
    results = ended(bench.end(bench.start(workflow, {"payload": {"n": 1}})))
    assert results == {"via": "fallback", "status_code": 200, "body": "b"}
    assert len(api.asked("POST", "/primary")) == 6

    answers["fallback"] = (502, None)
    execution = bench.end(bench.start(workflow, {"payload": {"n": 2}}))
    ended(execution, "failed")
    assert execution["error_message"].startswith("Neither address took the payload; it is parked.")
    (parked,) = api.asked("POST", "/park")
    assert parked.body == {
        "payload": {"n": 2},
        "execution_id": execution["id"],
        "reason": "The server answered 503",
        "fallback_reason": "The server answered 502",
    }

    answers["primary"] = (400, None)
    before = len(api.seen)
    execution = bench.end(bench.start(workflow, {"payload": {"n": 3}}))
    ended(execution, "failed")
    assert execution["error_message"] == "The API refuses the payload: The server answered 400"
    assert len(api.seen) == before + 1


# --- train-evaluate-approve


def ml(score: float, *, ends: str = "succeeded") -> Answers:
    """An ML service whose trainings take three polls; a model of 0.85 is in use."""
    polls = iter(["running", "running", ends])

    def answers(request: Request) -> tuple[int, JSONValue]:
        found: dict[str, JSONValue] = {
            "/trainings": {"id": 5},
            "/models/m%201/metrics": {"accuracy": score},
            "/deployments/churn/metrics": {"accuracy": 0.85},
            "/deployments/churn": {},
        }
        if request.path == "/trainings/5":
            return 200, {"status": next(polls), "model_id": "m 1"}
        return 200, found[request.path]

    return answers


ML = {"ML_API_TOKEN": "ml-token-123"}


def test_a_better_model_is_deployed_after_a_yes(bench: Bench) -> None:
    api = bench.service(ml(0.91))
    workflow = bench.workflow("train-evaluate-approve", {"ml_url": api.url, "model_name": "churn"}, **ML)
    id_ = bench.start(workflow, {"dataset": "2026-10"})
    for _ in range(2):
        bench.pass_time()
    assert api.asked("PUT") == []
    assert bench.answer(id_, "approve", {"approved": True, "comment": "ship it"}).status == 200
    assert ended(bench.end(id_)) == {"deployed": True, "model_id": "m 1", "score": 0.91, "reason": "ship it"}
    assert [(each.path, each.body) for each in api.asked("PUT")] == [("/deployments/churn", {"model_id": "m 1"})]
    assert len(api.asked("GET", "/trainings/5")) == 3


@pytest.mark.parametrize(("score", "reason"), [(0.7, "below min_score"), (0.85, "not better than the model in use")])
def test_a_model_that_is_not_good_enough_is_left(bench: Bench, score: float, reason: str) -> None:
    api = bench.service(ml(score))
    setup = {"ml_url": api.url, "model_name": "churn", "min_gain": 0.01}
    results = ended(bench.run("train-evaluate-approve", setup, {"dataset": "d"}, **ML))
    assert results == {"deployed": False, "model_id": "m 1", "score": score, "reason": reason}
    assert api.asked("PUT") == []


def test_a_refused_model_is_left_and_a_failed_training_fails(bench: Bench) -> None:
    api = bench.service(ml(0.91))
    workflow = bench.workflow("train-evaluate-approve", {"ml_url": api.url, "model_name": "churn"}, **ML)
    id_ = bench.start(workflow, {"dataset": "d"})
    for _ in range(2):
        bench.pass_time()
    bench.answer(id_, "approve", {"approved": False, "comment": "not before Monday"})
    assert ended(bench.end(id_))["reason"] == "Rejected: not before Monday"
    api.answers = ml(0.91, ends="failed")
    execution = bench.end(bench.start(workflow, {"dataset": "d"}))
    ended(execution, "failed")
    assert execution["error_message"] == "The training ended failed"
    assert api.asked("PUT") == []
