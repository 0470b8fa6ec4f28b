"""PURE: `:name` binds in SQL, found past quotes, comments and casts, and numbered as PostgreSQL's `$1`."""

import re
from dataclasses import dataclass

# In this order: what may hold a colon without meaning one comes first. An identifier is one token, so that the colon
# of `a:b` (a slice with names) and the E of `nameE'…'` are not taken for something else.
_TOKEN = re.compile(
    r"""(?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?P<escaped_end>')?)
      | (?P<text>'(?:[^']|'')*(?P<text_end>')?)
      | (?P<identifier>"(?:[^"]|"")*(?P<identifier_end>")?)
      | (?P<dollar>\$(?P<tag>(?:[A-Za-z_\x80-\U0010ffff][\w]*)?)\$)
      | (?P<line>--[^\n]*)
      | (?P<block>/\*)
      | (?P<cast>::|:=)
      | (?P<number>\$[0-9]+)
      | (?P<bind>(?<![\w\])]):(?P<name>[A-Za-z_][A-Za-z0-9_]*))
      | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


class BindError(ValueError):
    """The SQL cannot be read: a quote or comment that does not end, or a placeholder in another spelling."""


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """`sql` has `$1`, `$2`… where the binds were; `names` says what each number stands for."""

    sql: str
    names: tuple[str, ...]


def bind(sql: str) -> BoundQuery:
    """Number the binds; a name that comes again keeps its number. Raises BindError."""
    parts: list[str] = []
    names: dict[str, int] = {}
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None, "the last alternative takes any character"
        end = _end(sql, match)
        if match["bind"]:
            parts.append(f"${names.setdefault(match['name'], len(names) + 1)}")
        elif match["number"]:
            raise BindError(f"{match['number']} is no bind; write :name")
        else:
            parts.append(sql[position:end])
        position = end
    return BoundQuery("".join(parts), tuple(names))


def _end(sql: str, match: re.Match[str]) -> int:
    """Where the token that starts here ends. Raises BindError if it does not."""
    if match["block"]:
        return _comment_end(sql, match.end())
    if match["dollar"]:
        found = sql.find(match["dollar"], match.end())
        if found < 0:
            raise BindError(f"the text that starts with {match['dollar']} does not end")
        return found + len(match["dollar"])
    for kind, what in (("escaped", "text"), ("text", "text"), ("identifier", "name")):
        if match[kind] and not match[f"{kind}_end"]:
            raise BindError(f"a quoted {what} does not end")
    return match.end()


def _comment_end(sql: str, position: int) -> int:
    """PostgreSQL's comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            raise BindError("a comment /* does not end")
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position
