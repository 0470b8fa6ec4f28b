"""Tables of the documentation that are made of something else: `make tables` writes them, `--check` compares.

Each stands between `<!-- name: … -->` and `<!-- end -->` on its page. Run from the root of the repository.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workflows.components import registry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
          "object": "object", "array": "list", "null": "null"}  # fmt: skip


def fields_table(type_: str) -> str:
    """What a component's config takes, as its JSON Schema says."""
    lines = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    for path, field, needed in fields(registry.BUILT_IN[type_].config_schema):
        default = f"`{json.dumps(field['default'], ensure_ascii=False)}`" if "default" in field else ""
        star = " *" if needed else ""
        meaning = str(field.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{path}`{star} | {kind(field)} | {default} | {meaning} |")
    return "\n".join(lines)


def fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each field below an object's schema: its path, its own schema, whether it is required."""
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in schema.get("required", [])
        yield from fields(field, f"{path}.")
        if "properties" in field.get("items", {}):
            yield from fields(field["items"], f"{path}[].")
        for variant in field.get("oneOf", []):
            yield from _of_variant(variant, path)


def _of_variant(variant: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """The fields of one of several shapes; which one it is, its constant says first."""
    (tag,) = (name for name, field in variant["properties"].items() if "const" in field)
    value = variant["properties"][tag]["const"]
    for name, field in variant["properties"].items():
        if name == tag:
            field = {**field, "description": variant["title"]}
        yield f"{path}.{name}", {**field, "only_with": "" if name == tag else value}, name in variant["required"]


def kind(schema: dict[str, Any]) -> str:
    """The type and bounds of a field, in words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        words = " ".join(f"`{option}`" for option in schema["enum"])
    else:
        types = schema.get("type", "any JSON")
        words = " or ".join(_TYPES.get(each) or str(each) for each in (types if isinstance(types, list) else [types]))
    if options := schema.get("items", {}).get("enum"):
        words += " of " + " ".join(f"`{option}`" for option in options)
    parts = [words, *bounds(schema)]
    if schema.get("format") == "uri":
        parts.append("a URL")
    if pattern := str(schema.get("pattern", "")):
        parts.append("a token" if "`" in pattern else "`{}`".format(pattern.replace("|", "\\|")))
    if schema.get("uniqueItems"):
        parts.append("none twice")
    if schema.get("writeOnly"):
        parts.append("[sealed](../secrets.md#secrets-written-into-a-definition)")
    if schema.get("only_with"):
        parts.append(f"with `{schema['only_with']}`")
    return ", ".join(parts)


def bounds(schema: dict[str, Any]) -> Iterator[str]:
    """The bounds of a value or of its length, in words."""
    for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"),
                            ("minItems", "maxItems", " items")):  # fmt: skip
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None:
            yield f"{least:,} to {most:,}{unit}"
        elif most is not None and "exclusiveMinimum" in schema:
            yield f"above {schema['exclusiveMinimum']}, at most {most:,}{unit}"
        elif most is not None:
            yield f"at most {most:,}{unit}"
        elif least is not None and unit and least == 1:
            yield "not empty"
        elif least is not None:
            yield f"at least {least:,}{unit}"


def titled(path: Path) -> tuple[str, str]:
    """A page's title and the first sentence below it."""
    title, _, rest = path.read_text().partition("\n")
    first = next((part for part in rest.split("\n\n") if part.strip() and not part.strip().startswith(("<", "|"))), "")
    sentence = re.split(r"(?<=\.)\s", first.strip().replace("\n", " "), maxsplit=1)[0]
    return title.removeprefix("# ").strip(), sentence.rstrip(".:;")


def pages_table(folder: Path, head: str) -> str:
    """The pages of a folder but its index, by name, with what each is about."""
    lines = [f"| {head} | |", "| --- | --- |"]
    for path in sorted(folder.glob("*.md")):
        if path.stem != "index":
            title, sentence = titled(path)
            lines.append(f"| [{title}]({path.name}) | {_unlinked(sentence)} |")
    return "\n".join(lines)


def decisions_table(folder: Path) -> str:
    """The decisions by number."""
    lines = ["| | decision |", "| --- | --- |"]
    for path in sorted(folder.glob("[0-9]*.md")):
        title = re.sub(r"^\d+\. ", "", titled(path)[0])
        lines.append(f"| {int(path.name[:4])} | [{title}]({path.name}) |")
    return "\n".join(lines)


def _unlinked(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("|", "\\|")


def settings_table(example: str) -> str:
    """The variables of .env.example, those that share a comment in one row."""
    lines = ["| variable | meaning |", "| --- | --- |"]
    for about, names in re.findall(r"((?:^# .*\n)+)((?:^#[A-Z_]+=.*\n?)+)", example, re.MULTILINE):
        meaning = _unlinked(" ".join(line.removeprefix("# ") for line in about.splitlines()))
        cells = [f"`{line.removeprefix('#').removesuffix('=')}`" for line in names.splitlines()]
        lines.append(f"| {'<br>'.join(cells)} | {meaning} |")
    return "\n".join(lines)


def wanted() -> dict[Path, dict[str, str]]:
    """The tables of each page, by name."""
    pages = {DOCS / "components" / f"{type_}.md": {"fields": fields_table(type_)} for type_ in registry.BUILT_IN}
    pages[DOCS / "decisions" / "index.md"] = {"decisions": decisions_table(DOCS / "decisions")}
    pages[DOCS / "operations" / "index.md"] = {"pages": pages_table(DOCS / "operations", "page")}
    pages[DOCS / "operations" / "settings.md"] = {"settings": settings_table((ROOT / ".env.example").read_text())}
    return pages


def with_table(text: str, name: str, table: str) -> str:
    """The page with the table in its place. Raises ValueError where it has none."""
    place = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(\n?<!-- end -->)", re.DOTALL)
    if not place.search(text):
        raise ValueError(f"there is no place for the table {name}: <!-- {name}: made by `make tables` -->")
    return place.sub(lambda match: f"{match[1]}{table}\n<!-- end -->", text, count=1)


def main() -> int:
    """Writes the pages, or says which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a table is out of date")
    check = parser.parse_args().check
    stale = []
    for path, tables in wanted().items():
        before = after = path.read_text()
        for name, table in tables.items():
            after = with_table(after, name, table)
        if before != after:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.write_text(after)
    if check and stale:
        sys.stderr.write(f"out of date: {', '.join(map(str, stale))}; run make tables\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
