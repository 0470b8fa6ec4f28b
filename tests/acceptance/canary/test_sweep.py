"""The canary sweep: the platform is used and misused as a whole, and no secret leaves it anywhere (reliability G19)."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.canary import definitions
from tests.acceptance.canary.far_end import far_end
from tests.acceptance.canary.kinds import IN_THE_ENVIRONMENT, Kind, make_canaries
from tests.acceptance.canary.planted import FOUND_IN, Place, plant
from tests.acceptance.canary.play import ADMINISTRATOR, MAX_BODY_BYTES, Play
from tests.acceptance.canary.search import Hit, Searcher, Sink
from tests.acceptance.canary.stack import Stack
from tests.collector import collector
from tests.stand_ins import mail_server

pytestmark = pytest.mark.acceptance


@dataclass(frozen=True)
class Swept:
    """What one run of the platform said and what the search found in it."""

    play: Play
    searcher: Searcher = field(repr=False)
    hits: list[Hit] = field(repr=False)

    def of(self, kind: str) -> list[Hit]:
        """The hits of one kind."""
        return [hit for hit in self.hits if hit.kind == kind]


@pytest.fixture(scope="module")
def swept() -> Iterator[Swept]:
    """The whole play once, with the leaks that were planted in it, and the search of every sink."""
    folder = Path(tempfile.mkdtemp(prefix="apg-canary-"))
    searcher = Searcher()
    values = make_canaries(searcher)
    with far_end() as far, mail_server() as mail, collector() as spans:
        settings = {
            "APG_SECRET_KEY": values[Kind.SECRET_KEY],
            "APG_ENCRYPTION_KEYS": f"{values[Kind.ENCRYPTION_KEY]},{values[Kind.NEXT_ENCRYPTION_KEY]}",
            "APG_EMAIL_URL": f"smtp://user:{quote(values[Kind.MAIL_PASSWORD], safe='')}@127.0.0.1:{mail.port}",
            "APG_EMAIL_FROM": "apg@example.com",
            "APG_ADMIN_EMAIL": ADMINISTRATOR,
            "APG_ADMIN_PASSWORD": values[Kind.ADMINISTRATOR],
            "APG_OUTBOUND_ALLOW": "127.0.0.1/32",
            "APG_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            "APG_LEASE_SECONDS": "3",
            "APG_DRAIN_SECONDS": "1",
            "APG_METRICS_TOKEN": values[Kind.METRICS_TOKEN],
            "APG_OTEL_ENDPOINT": spans.url,
        }
        stack = Stack(folder, settings, IN_THE_ENVIRONMENT)
        try:
            stack.start()
            with far.database(stack.servers.postgres_socket()) as port:
                play = Play(stack, values, searcher, far, port)
                play.everything()
                metrics = {"Authorization": f"Bearer {values[Kind.METRICS_TOKEN]}"}
                assert stack.web.send("GET", "/metrics", b"", metrics)[0] == 200
                plant(stack, searcher, far, play.tokens["key"])
                stack.quiet()
            assert {span.name for _, span in spans.spans} >= {"execution", "http_request", "webhook delivery"}
            told = Sink("what the collector was told", b"\n".join(spans.bodies))
            sinks = (*stack.sinks(), far.sink(), told)
            yield Swept(play, searcher, [hit for sink in sinks for hit in searcher.search(sink)])
        finally:
            stack.end()
            shutil.rmtree(folder)


def test_the_play_met_no_error_of_the_platform_and_all_that_it_was_meant_to(swept: Swept) -> None:
    statuses = swept.play.statuses
    assert [told for told in statuses if told[0] >= 500 or told[0] == 429] == []
    assert {status for status, _ in statuses} >= {200, 201, 400, 401, 403, 409, 413, 422}
    assert set(swept.searcher.values) == {*Kind, *Place}
    assert swept.play.stack.watchers[0].sandboxes
    # What has not been out there cannot come back.
    for kind in definitions.SENT:
        assert swept.play.far.was_told(swept.play.values[kind]), kind


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_p1_no_secret_leaves_the_platform(kind: Kind, swept: Swept) -> None:
    found = swept.of(kind)
    if found:
        one_of_each = {hit.sink.partition(" of ")[0]: hit for hit in found}
        pytest.fail("\n".join([f"{len(found)} places", *map(str, one_of_each.values())]), pytrace=False)


@pytest.mark.parametrize("place", Place, ids=lambda place: place.name.lower())
def test_a_leak_that_was_planted_is_found(place: Place, swept: Swept) -> None:
    assert [hit for hit in swept.of(place) if hit.sink.startswith(FOUND_IN[place])], swept.of(place)
