"""What a process does once, when Django is set up."""

from django.apps import AppConfig
from django.conf import settings

from core import tracing


class PlatformConfig(AppConfig):
    """Spans, where somebody wants them."""

    name = "config"

    def ready(self) -> None:
        """Django's hook."""
        if settings.TRACES_ENDPOINT:
            tracing.turn_on(settings.TRACES_ENDPOINT, settings.APG_VERSION)
