"""The Python example of the API reference runs as printed."""

import ast
import asyncio
import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "api-reference.md"
pytestmark = pytest.mark.django_db(transaction=True)


def printed_example() -> str:
    """The code of "Python SDK", "Usage"."""
    section = PAGE.read_text().partition("### Python SDK")[2].partition("### JavaScript SDK")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(code)


def run(code: str) -> str:
    """Runs code with `await` at its top, as `python -m asyncio` does; what it prints."""
    compiled = compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, object] = {}

    async def main() -> None:
        await eval(compiled, names)
        await names["client"].aclose()  # type: ignore[attr-defined]

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        asyncio.run(main())
    return output.getvalue()


def test_the_example_runs_as_printed(base_url: str, api_key: str, worker: None) -> None:
    code = printed_example()
    assert code.count('"https://your-domain.com/api/v1"') == code.count('"your-api-key"') == 1
    code = code.replace("https://your-domain.com/api/v1", base_url).replace("your-api-key", api_key)
    assert run(code) == "Execution completed with status: completed\n"
