"""What deploys the platform, read as the programs that use it read it: the compose file and the image's context."""

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"
# ${NAME}, ${NAME:-default}, ${NAME:?what is missing}; a doubled dollar stands for one.
VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class MissingVariableError(Exception):
    """Compose would not start: a variable that it asks for is not given."""


@dataclass(frozen=True)
class Service:
    """A service of the compose file; `check` is the command of its health check, seconds as numbers."""

    name: str
    command: list[str]
    environment: dict[str, str]
    check: list[str]
    stop_grace_seconds: float
    keys: dict[str, Any]


@cache
def _compose() -> Any:
    return yaml.safe_load(COMPOSE_FILE.read_text())


def compose(**given: str) -> dict[str, Service]:
    """The services, with the variables filled in as compose does. Raises MissingVariableError."""
    return {name: _service(name, _filled(keys, given)) for name, keys in _compose()["services"].items()}


def compose_secrets() -> dict[str, str]:
    """The files of its secrets, by name."""
    return {name: keys["file"] for name, keys in _compose()["secrets"].items()}


def _service(name: str, keys: dict[str, Any]) -> Service:
    return Service(
        name,
        keys["command"],
        {key: str(value) for key, value in keys.get("environment", {}).items()},
        keys.get("healthcheck", {}).get("test", ["CMD"])[1:],
        seconds(keys.get("stop_grace_period", "10s")),
        keys,
    )


def seconds(text: str) -> float:
    """`90s`, `2m` or `500ms`."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]


def _filled(value: Any, given: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, given) for inner in value]
    return VARIABLE.sub(lambda found: _value(found, given), value) if isinstance(value, str) else value


def _value(found: "re.Match[str]", given: dict[str, str]) -> str:
    name, kind, text = found.groups()
    if name is None:
        return "$"
    if kind == "?" and not given.get(name):
        raise MissingVariableError(f"{name}: {text}")
    return given.get(name) or (text if kind == "-" else "")


@dataclass(frozen=True)
class Instruction:
    """One of the Dockerfile, its continued lines joined; `stage` counts from 0 and is -1 before the first FROM."""

    name: str
    text: str
    stage: int


def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions in order."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    found, stage = [], -1
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, text = line.strip().partition(" ")
            stage += name == "FROM"
            found.append(Instruction(name, text, stage))
    return found


def image_environment() -> dict[str, str]:
    """The variables that the image sets by itself."""
    (text,) = [each.text for each in dockerfile() if each.name == "ENV"]
    return dict(pair.split("=", 1) for pair in text.split())


def in_context(name: str) -> bool:
    """Whether .dockerignore leaves this file of the repository to the image's build: the last line that fits says."""
    kept = True
    names = [name, *map(str, Path(name).parents)][:-1]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            # What fits a folder fits everything in it.
            if any(re.fullmatch(pattern, each) for each in names):
                kept = line.startswith("!")
    return kept


def copy_context(to: Path, tracked: list[str]) -> None:
    """What `COPY . /app` brings into the image, of these files of the repository."""
    for name in tracked:
        source = ROOT / name
        if source.is_file() and in_context(name):
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
