"""Operations that fit the schema, made by hypothesis: whatever is asked, nothing fails in a way that is not ours."""

from typing import Any

import pytest
from graphql import FloatValueNode, IntValueNode, ListValueNode, NullValueNode, ObjectValueNode, StringValueNode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import mutations, queries

from accounts.authentication import token_caller
from config import graphql
from tests.contract.access_world import World, make_world
from tests.contract.test_graphql_schema import DOCUMENT

pytestmark = pytest.mark.django_db(transaction=True)

_leaves: Any = st.one_of(
    st.integers().map(lambda value: IntValueNode(value=str(value))),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: FloatValueNode(value=repr(value))),
    st.text(max_size=5).map(lambda value: StringValueNode(value=value)),
    st.just(NullValueNode()),
)
_SCALARS: dict[str, Any] = {
    "JSON": st.one_of(
        _leaves,
        st.lists(_leaves, max_size=2).map(lambda values: ListValueNode(values=tuple(values))),
        st.just(ObjectValueNode(fields=())),
    ),
    "DateTime": st.sampled_from(["2025-01-01T00:00:00Z", "2999-01-01", "1970-01-01T00:00:00+02:00"]).map(
        lambda value: StringValueNode(value=value)
    ),
}
_IDS = ("workflow_id", "execution_id", "running_id", "template_id", "published_id")


@pytest.fixture
def world(empty_redis: None) -> World:
    """One of everything."""
    return make_world(None)


@pytest.mark.parametrize("who", ["owner", "staff", "stranger"])
@pytest.mark.parametrize("kind", [queries, mutations])
def test_q8_no_operation_fails_within(world: World, kind: Any, who: str) -> None:
    caller = token_caller(world.callers[who].token)
    seen = {"run": 0}

    @settings(max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kind(DOCUMENT.read_text(), custom_scalars=_SCALARS), st.sampled_from(_IDS))
    def ask(text: str, id_: str) -> None:
        # Ids of hypothesis name nothing; some of its empty ones are made to.
        text = text.replace('d: ""', f'd: "{world.ids[id_]}"')
        try:
            operation = graphql.parse_and_check(text)
        except graphql.RequestRefusedError as error:
            assert {each["extensions"]["code"] for each in error.errors} == {"VALIDATION_ERROR"}
            return
        seen["run"] += 1
        answer = graphql.run(operation, caller)
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        assert codes <= {"VALIDATION_ERROR", "RESOURCE_NOT_FOUND"}, (text, answer["errors"])

    ask()
    assert seen["run"] > 20
