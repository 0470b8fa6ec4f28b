"""Hooks of mkdocs: pages that stand outside docs/, links between all of them, folders in the navigation.

The pages are plain Markdown that a code host shows as well: links are relative to the files, and what is not in docs/
is linked where it stands. A file that a page links to is on the site too, as a page that shows its text.
"""

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Pages outside docs/, by their path in the repository and on the site.
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "benchmarks/RESULTS.md",
    "sdk/javascript/README.md",
    "sdk/python/README.md",
)
_MOVED = {"README.md": "readme.md"}  # beside index.md, it would be the home page
_LANGUAGES = {".py": "python", ".json": "json", ".yml": "yaml", ".yaml": "yaml", ".example": "sh", ".sh": "sh",
              ".toml": "toml", ".js": "js", ".mjs": "js"}  # fmt: skip
_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=(?:\s+\"[^\"]*\")?\))")
_ITEM = re.compile(r"^(?:[-*+]|\d+\.) ")
_TABS = re.compile(r"^<!-- tabs -->\n(.*?)^<!-- end tabs -->$", re.MULTILINE | re.DOTALL)
_EXPR = re.compile(r"^```expr\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_TAB = re.compile(r"^\*\*([^*\n]+)\*\*\n", re.MULTILINE)


def prose_and_code(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is a fenced block."""
    end = 0
    for fence in _FENCE.finditer(text):
        yield text[end : fence.start()], False
        yield fence[0], True
        end = fence.end()
    yield text[end:], False


def linked_paths(text: str, origin: str) -> Iterator[str]:
    """Paths in the repository that a page at `origin` links to."""
    for prose, is_code in prose_and_code(text):
        if not is_code:
            for target in _LINK.findall(prose):
                if path := _path_of(target, origin):
                    yield path


def _path_of(target: str, origin: str) -> str:
    """The path in the repository that a link names; empty for anchors and addresses."""
    file = target.partition("#")[0]
    if not file or ":" in file or file.startswith("/"):
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), file))


def site_path(path: str) -> str:
    """Where on the site a file or folder of the repository is."""
    if path in OUTSIDE:
        return _MOVED.get(path, path)
    if path == "docs" or path.startswith("docs/"):
        inside = path.removeprefix("docs").lstrip("/")
        return posixpath.join(inside, "index.md") if (ROOT / path).is_dir() else inside
    return f"source/{path}.md"


def with_links(text: str, origin: str, here: str) -> str:
    """The page's text with its links as they hold on the site, where the page is `here`."""

    def moved(match: re.Match[str]) -> str:
        path = _path_of(match[0], origin)
        if not path or not (ROOT / path).exists():
            return match[0]
        _, mark, anchor = match[0].partition("#")
        return posixpath.relpath(site_path(path), posixpath.dirname(here) or ".") + mark + anchor

    return "".join(piece if is_code else _LINK.sub(moved, piece) for piece, is_code in prose_and_code(text))


def with_loose_lists(text: str) -> str:
    """A list right under a paragraph needs an empty line here; a code host shows it without."""
    pieces = []
    for piece, is_code in prose_and_code(text):
        lines: list[str] = []
        for line in piece.split("\n"):
            before = lines[-1] if lines else ""
            if not is_code and _ITEM.match(line) and before.strip() and not before.startswith((" ", "|")):
                lines += [] if _ITEM.match(before) else [""]
            lines.append(line)
        pieces.append("\n".join(lines))
    return "".join(pieces)


def with_tabs(text: str) -> str:
    """What stands between `<!-- tabs -->` and `<!-- end tabs -->`, as tabs named by its bold lines."""

    def tabs(match: re.Match[str]) -> str:
        _, *parts = _TAB.split(match[1])
        shown = []
        for title, body in zip(parts[::2], parts[1::2], strict=True):
            indented = "".join(f"    {line}\n" if line else "\n" for line in body.strip("\n").split("\n"))
            shown.append(f'=== "{title}"\n\n{indented}')
        return "\n".join(shown)

    return _TABS.sub(tabs, text)


def with_examples(text: str) -> str:
    """Examples of expressions as a list of what is given, the expression, and the result, whose long lines break."""

    def shown(match: re.Match[str]) -> str:
        pairs = (line.split(": ", 1) for line in match[1].splitlines())
        rows = "".join(f"<dt>{name}</dt><dd><code>{html.escape(value)}</code></dd>" for name, value in pairs)
        return f'<dl class="expr">{rows}</dl>'

    return _EXPR.sub(shown, text)


def source_page(path: str) -> str:
    """A page that shows a file of the repository, or lists a folder."""
    place = ROOT / path
    head = f"---\nsearch:\n  exclude: true\n---\n\n# `{path}`\n\n"
    if place.is_dir():
        names = sorted(each.name + "/" * each.is_dir() for each in place.iterdir() if each.name != "__pycache__")
        return head + "".join(f"- `{name}`\n" for name in names)
    return f"{head}`````{_LANGUAGES.get(place.suffix, 'text')}\n{place.read_text().rstrip()}\n`````\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Folders in the navigation become their pages."""
    config.nav = [_expanded(entry) for entry in config.nav or []]
    return config


def _expanded(entry: object) -> object:
    if isinstance(entry, dict):
        ((title, value),) = entry.items()
        if isinstance(value, str) and value.endswith("/"):
            pages = sorted((ROOT / "docs" / value).glob("*.md"), key=lambda page: (page.stem != "index", page.name))
            return {title: [f"{value}{page.name}" for page in pages]}
        return {title: [_expanded(each) for each in value] if isinstance(value, list) else value}
    return entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that stand outside docs/, and what any page links to there."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for path in OUTSIDE:
        inclusion = InclusionLevel.NOT_IN_NAV if path in _MOVED else InclusionLevel.INCLUDED
        texts[path] = (ROOT / path).read_text()
        files.append(File.generated(config, site_path(path), content=texts[path], inclusion=inclusion))
    shown = {path for origin, text in texts.items() for path in linked_paths(text, origin)}
    for path in sorted(shown):
        where = site_path(path)
        if where.startswith("source/") and (ROOT / path).exists():
            page = File.generated(config, where, content=source_page(path), inclusion=InclusionLevel.NOT_IN_NAV)
            files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page as the site needs it."""
    here = page.file.src_uri
    if here.startswith("source/"):
        return markdown
    origins = {site_path(path): path for path in OUTSIDE}
    linked = with_links(markdown, origins.get(here, f"docs/{here}"), here)
    return with_examples(with_tabs(with_loose_lists(linked)))
