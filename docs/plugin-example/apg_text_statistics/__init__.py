"""text_statistics: how long a text is, and which words it uses most."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from core.errors import Problem
from workflows.components.base import Completed, Component, Context, Failed, Outcome

WORD = re.compile(r"\w+(?:['’-]\w+)*")


class TextStatistics(Component):
    """Counts of one text."""

    type: ClassVar = "text_statistics"
    name: ClassVar = "Text Statistics"
    description: ClassVar = "Counts the characters, words and lines of a text, and its most frequent words"
    category: ClassVar = "data"
    # It only calculates: what it finds in a secret text is hidden like the text.
    pure: ClassVar = True
    config_schema: ClassVar[dict[str, Any]] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "text": {
                "title": "Text",
                "description": "What is counted",
                "type": "string",
                "examples": ["{{ components.fetch.output.body }}"],
            },
            "top": {
                "title": "Most frequent words",
                "description": "How many of them the output lists",
                "type": "integer",
                "minimum": 0,
                "maximum": 1000,
                "default": 10,
                "examples": [3],
            },
            "ignore": {
                "title": "Ignored words",
                "description": "Words that are not listed",
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "examples": [["the", "a", "of"]],
            },
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    input_schema: ClassVar[dict[str, Any]] = {"title": "Any JSON value"}
    output_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "characters": {"title": "Characters", "type": "integer"},
            "words": {"title": "Words", "type": "integer"},
            "lines": {"title": "Lines", "type": "integer"},
            "top": {"title": "The most frequent words, the most frequent first", "type": "array"},
        },
        "required": ["characters", "words", "lines", "top"],
    }

    def check(self, config: dict[str, Any]) -> Iterator[Problem]:
        """What the schema cannot say; asked when a workflow is saved, so texts with expressions may still stand."""
        ignored = config.get("ignore", [])
        for index, word in enumerate(ignored if isinstance(ignored, list) else []):
            if "{{" not in word and not WORD.fullmatch(word):
                details = {"expected": "one word", "received": word}
                yield Problem("Expected one word", field=f"ignore[{index}]", details=details)

    def run(self, config: dict[str, Any], context: Context) -> Outcome:
        text: str = config["text"]
        if "\0" in text:
            # Permanent: the same text fails again, so no attempt is made in vain.
            return Failed("text: holds a NUL character, so it is no text", permanent=True)
        words = [word.lower() for word in WORD.findall(text)]
        ignored = {word.lower() for word in config.get("ignore", [])}
        counts = Counter(word for word in words if word not in ignored)
        context.log("info", f"Counted {len(words)} words", words=len(words))
        return Completed(
            {
                "characters": len(text),
                "words": len(words),
                "lines": len(text.splitlines()),
                "top": [{"word": word, "count": count} for word, count in counts.most_common(config.get("top", 10))],
            }
        )
