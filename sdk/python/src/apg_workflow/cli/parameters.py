"""`--param name=value`: what a value is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="A parameter; may be repeated. JSON where it reads as JSON, else text: n=5, on=true, name=Ada.",
    ),
]


def parameters_of(given: list[str] | None) -> dict[str, Any]:
    """Raises ValueError for what has no name, and for a name that comes twice."""
    found: dict[str, Any] = {}
    for each in given or []:
        name, equals, text = each.partition("=")
        if not name or not equals:
            raise ValueError(f"--param {each!r} is not NAME=VALUE")
        if name in found:
            raise ValueError(f"--param {name} is there twice")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found
