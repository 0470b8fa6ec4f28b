"""W7: thousands of idle sockets are held by one web process, and let go when nobody is behind them any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from accounts.models import Tier, User
from tests.eventually import eventually
from tests.integration.live.conftest import Dial, be_at_rest, is_silent, token_of
from tests.web import Web, web_server

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 5_000
# A shell's usual limit of open files is less than the crowd.
PATIENCE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@contextmanager
def crowd(web: Web, token: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.live.crowd", str(web.port), str(COUNT)],
        env={**os.environ, "CROWD_TOKEN": token},
        stdout=subprocess.PIPE,
    )
    out = process.stdout
    assert out is not None
    with out:
        try:
            assert out.readline() == b"ready\n"
            yield process
        finally:
            process.kill()
            process.wait()


def sockets_of(web: Web) -> int:
    return len(psutil.Process(web.process.pid).net_connections("tcp4"))


def test_w7_five_thousand_idle_sockets_are_held_and_all_let_go_when_their_client_is_frozen(
    dial: Dial, alice: User
) -> None:
    alice.tier, alice.requests_per_hour = Tier.CUSTOM, 10**6
    alice.save()
    with web_server(before=PATIENCE) as web:
        process = psutil.Process(web.process.pid)
        bare = process.memory_full_info().uss
        with crowd(web, token_of(alice)) as clients:
            assert sockets_of(web) >= COUNT
            assert (process.memory_full_info().uss - bare) / 2**20 < 250
            with_others = dial(alice, port=web.port)
            assert is_silent(with_others)
            clients.send_signal(signal.SIGSTOP)
            eventually(lambda: sockets_of(web) < 50, timeout=180, interval=1)
            assert is_silent(with_others)
            with_others.close()
        be_at_rest()
        assert "Traceback" not in web.log.read_text()
