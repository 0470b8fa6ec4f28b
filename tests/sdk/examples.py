"""Runs printed Python, `await` at its top included, as `python -m asyncio` does."""

import ast
import asyncio
import contextlib
import inspect
import io
import re
from typing import Any

from apg_workflow import WorkflowClient


def python_blocks(text: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(code: str, base_url: str, api_key: str) -> tuple[str, dict[str, Any]]:
    """What the code prints with the server and key in the place of those printed, and the names that it leaves."""
    code = code.replace("https://your-domain.com/api/v1", base_url).replace("your-api-key", api_key)
    compiled = compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": "__main__"}

    async def main() -> None:
        found = eval(compiled, names)
        if inspect.isawaitable(found):
            await found
        if isinstance(client := names.get("client"), WorkflowClient):
            await client.aclose()

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        asyncio.run(main())
    return output.getvalue(), names
