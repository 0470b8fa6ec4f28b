"""docs/operations/deployment.md, "By hand": its commands as they stand, and the units that run the same ones."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from tests.acceptance.conftest import MakePlatform
from tests.acceptance.processes import Platform, ended, execute, make_workflow, with_database
from tests.acceptance.test_backup import PATH
from tests.deployment import ROOT, compose, compose_secrets
from tests.documented import blocks, run_block
from tests.eventually import START_SECONDS, eventually
from tests.unit.test_image import tracked

pytestmark = pytest.mark.acceptance

BLOCKS = blocks(ROOT / "docs" / "operations" / "deployment.md")
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
SERVICES = {
    name: service for name, service in compose(APG_ADMIN_EMAIL="admin@example.com").items()
    if name not in {"postgres", "valkey"}
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(make_platform: MakePlatform) -> Iterator[tuple[Path, Platform]]:
    """The repository's files with what is installed, and the platform whose servers and port it gets."""
    platform = make_platform(8)
    folder = platform.folder / "clone"
    for name in tracked():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    shutil.copytree(platform.folder / "secrets", folder / "secrets")
    (folder / "var").mkdir()
    yield folder, platform


def here(name: str, platform: Platform) -> str:
    """A block of the page with this machine's servers and a free port."""
    text = BLOCKS[name].replace("8000", str(platform.port))
    text = text.replace("postgresql://apg@127.0.0.1:5432/apg", f"'{platform.database_url}'")
    return text.replace("redis://127.0.0.1:6379/0", f"'{platform.redis_url}'")


def test_the_commands_of_the_page_bring_the_platform_up_and_sigterm_takes_it_down(
    clone: tuple[Path, Platform],
) -> None:
    folder, platform = clone
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    run_block(here("environment", platform), environment, cwd=folder)
    done = run_block(here("prepare", platform), environment, cwd=folder)
    assert "no issues" in done.stdout
    # A proxy would say so.
    plain = {**environment, "APG_HTTPS": "false"}
    start = here("start", platform).replace("set +a\n", "set +a\nAPG_HTTPS=false APG_OUTBOUND_ALLOW=127.0.0.1/32\n", 1)
    with (folder / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-eu", "-c", start], cwd=folder, env=plain, stdout=log, stderr=log, start_new_session=True
        )
    try:
        eventually(lambda: looks(here("look", platform), folder), timeout=START_SECONDS, interval=0.3)
        api = platform.client()
        eventually(api.is_up, timeout=START_SECONDS, interval=0.3)
        workflow_id = make_workflow(api, "by hand", [{"id": "end", "type": "end", "config": {"output": 1}}])
        assert ended(api, execute(api, workflow_id))["status"] == "completed"
    finally:
        children = psutil.Process(shell.pid).children()
        for child in children:
            child.send_signal(signal.SIGTERM)
        codes = [child.wait(60) for child in children]
        shell.wait(10)
    assert len(codes) == 6
    assert set(codes) <= {0, None}, (folder / "log").read_text()


def looks(text: str, folder: Path) -> bool:
    done = subprocess.run(["bash", "-eu", "-c", text], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


def test_the_page_starts_what_the_compose_file_starts() -> None:
    lines = [line.removesuffix(" &") for line in BLOCKS["start"].splitlines() if line.endswith(" &")]
    commands = [shlex.split(line) for line in lines]
    assert commands == [on_this_machine(service.command) for name, service in SERVICES.items() if name != "prepare"]


def on_this_machine(command: list[str]) -> list[str]:
    return ["127.0.0.1" if word == "0.0.0.0" else word for word in command]


def test_every_unit_runs_what_the_compose_file_runs_with_the_time_to_stop_that_it_gives() -> None:
    units = {path.name.removeprefix("apg-").removesuffix(".service"): path for path in UNITS if "-" in path.name}
    assert units.keys() == SERVICES.keys()
    for name, path in units.items():
        text = path.read_text()
        (start,) = re.findall(r"^ExecStart=/opt/apg/.venv/bin/(.*)$", text, re.MULTILINE)
        assert shlex.split(start) == on_this_machine(SERVICES[name].command)
        assert "EnvironmentFile=/opt/apg/apg.env" in text
        if name != "prepare":
            (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
            assert int(seconds) == SERVICES[name].stop_grace_seconds
            assert "KillMode=mixed" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    # Where the programs are is another machine's matter.
    for path in UNITS:
        text = re.sub(r"/opt/apg/\.venv/bin/\w+", "/bin/true", path.read_text()).replace("User=apg", "User=root")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / path.name for path in UNITS)],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "apg" in line] == []


def test_every_marked_block_is_run_here_but_the_installation() -> None:
    assert set(BLOCKS) == {"install", "environment", "prepare", "start", "look"}


def fence(begins: str) -> str:
    """The block of the page that begins so."""
    page = (ROOT / "docs" / "operations" / "deployment.md").read_text()
    (text,) = [each for each in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if each.startswith(begins)]
    return str(text)


def test_what_the_page_installs_is_there() -> None:
    # Asking a registry, and changing the machine, are no test's to do.
    assert (ROOT / re.findall(r"--requirement (\S+)", BLOCKS["install"])[0]).is_file()
    assert os.access(ROOT / "deploy" / "make_secrets.sh", os.X_OK)
    text = fence("useradd")
    assert f"cp deploy/systemd/*.service deploy/systemd/{UNITS[-1].name} /etc/systemd/system/" in text
    assert {path.suffix for path in UNITS} == {".service", ".target"}
    assert f"systemctl enable --now {UNITS[-1].name}" in text
    wanted = re.findall(r"^Wants=(.*)$", UNITS[-1].read_text(), re.MULTILINE)
    assert sorted(" ".join(wanted).split()) == sorted(path.name for path in UNITS[:-1])
    assert "install --directory --owner=apg --mode=0700 /opt/apg/var\n" in text
    for path in UNITS[:-1]:
        assert f"WantedBy={UNITS[-1].name}" in path.read_text()
        assert set(re.findall(r"^ReadWritePaths=(.*)$", path.read_text(), re.MULTILINE)) <= {"/opt/apg/var"}
    for program in ("useradd", "chown", "install", "cp", "systemctl"):
        assert program in text


def test_the_user_and_the_database_are_made_as_the_page_says(tmp_path: Path) -> None:
    # There is a database `apg` on the suite's server.
    text = re.sub(r"\bapg\b", "apg_by_hand", fence("createuser"))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "postgres_password").write_text("ab12\n")
    server = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_URL"])
    environment = {"PATH": PATH, "PGHOST": str(server["host"]), "PGUSER": str(server.get("user", "postgres"))}
    drop = "dropdb --if-exists apg_by_hand; dropuser --if-exists apg_by_hand"
    run_block(drop, environment)
    try:
        run_block(text, {**environment, "PGDATABASE": "postgres"}, cwd=tmp_path)
        with psycopg.connect(with_database(os.environ["DATABASE_URL"], "apg_by_hand")) as database:
            facts = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s"
            assert database.execute(facts, ["apg_by_hand"]).fetchone() == ("apg_by_hand", "UTF8")
            assert database.execute("SHOW random_page_cost").fetchone() == ("1.1",)
            assert database.execute("SHOW max_parallel_workers_per_gather").fetchone() == ("0",)
            assert database.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)
    finally:
        run_block(drop, environment)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_accepts_the_variables_of_the_page(tmp_path: Path) -> None:
    # All but the last line, which needs an engine; what it would read is asked for instead.
    *lines, up = fence("deploy/make_secrets.sh").splitlines()
    for name in ("docker-compose.yml", "deploy/make_secrets.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    asked = up.partition(" up ")[0].replace("docker compose", "docker-compose") + " config"
    done = run_block("\n".join([*lines, asked]), {"PATH": os.environ["PATH"]}, cwd=tmp_path)
    web = yaml.safe_load(done.stdout)["services"]["web"]["environment"]
    assert web["APG_ALLOWED_HOSTS"] == "apg.example.com,127.0.0.1"
    assert web["APG_TRUSTED_ORIGINS"] == "https://apg.example.com"
    assert shlex.split(up) == ["docker", "compose", "up", "--build", "--detach", "--scale", "worker=4"]
    assert all((tmp_path / path).is_file() for path in compose_secrets().values())
