"""JSON as a type: what crosses the platform's edges before it becomes a dataclass."""

from typing import Any, TypeAlias

# `Any` on purpose: a recursive alias makes every reader of user data cast at each step.
JSONValue: TypeAlias = Any
JSONObject: TypeAlias = dict[str, JSONValue]
