"""The one error of the expression language: what is wrong, of which kind, and where."""

from typing import Literal

Kind = Literal["syntax", "undefined", "type", "budget"]

MAX_QUOTED_CHARS = 200


class ExpressionError(ValueError):
    """An expression can't be read or can't be evaluated. The text around it has to be changed.

    `kind` is `syntax` (not an expression of this language), `undefined` (a name, key or item that is not
    there was used), `type` (values that the operation does not fit, division by zero) or `budget` (too
    long, too deep, too large, too many steps). Messages name types, names and keys as they are written,
    never the values: those may be secrets.
    """

    def __init__(
        self, message: str, *, kind: Kind = "type", expression: str = "", position: str = "", path: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind: Kind = kind
        self.expression = expression[:MAX_QUOTED_CHARS]
        """The source between the braces, cut after 200 characters."""
        self.position = position
        """Where the expression starts in its string, as in `line 1, column 7`."""
        self.path = path
        """Where the string stands in the rendered value, as in `headers.Authorization`."""

    def locate(self, *, expression: str = "", position: str = "", path: str = "") -> None:
        """Fill in the places that are not known yet."""
        self.expression = self.expression or expression[:MAX_QUOTED_CHARS]
        self.position = self.position or position
        self.path = self.path or path

    def __str__(self) -> str:
        start = f"{self.path}: " if self.path else ""
        quoted = f" in `{self.expression}`" if self.expression else ""
        place = f" ({self.position})" if self.position else ""
        return f"{start}{self.message}{quoted}{place}"
