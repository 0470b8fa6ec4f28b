"""A plug-in component for workers of threads that lets go of nothing; installed nowhere but in their test."""

import threading

from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Kind, Outcome


class Stubborn(Component):
    """Waits for ten minutes, which no test does, and looks at no checkpoint."""

    type = "test_stubborn"
    name = "Stubborn"
    description = "Waits"
    category = "test"
    kind = Kind.IO
    config_schema = {"type": "object"}
    input_schema = {}
    output_schema = {}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        """Out of reach for as long as it takes."""
        threading.Event().wait(600)
        return Completed(None)
