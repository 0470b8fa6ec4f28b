"""`manage.py maintenance on|off|status`: hold new executions while those under way end, and let them go again."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core.errors import APGError
from core.times import iso
from executions import maintenance_mode


class Command(BaseCommand):
    """Says after each what is under way. Ends with 1 if the mode could not be switched."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["on", "off", "status"])
        parser.add_argument("--message", default="", help="with on: what everybody is told")
        parser.add_argument(
            "--minutes", type=int, help="with on: how long it is expected to take; told, and ends nothing by itself"
        )

    def handle(self, *args: Any, what: str, message: str, minutes: int | None, **options: Any) -> None:
        if what != "on" and (message or minutes is not None):
            raise CommandError("--message and --minutes go with on")
        if minutes is not None and not 1 <= minutes <= maintenance_mode.MAX_MINUTES:
            raise CommandError(f"--minutes must be from 1 to {maintenance_mode.MAX_MINUTES}")
        if len(message) > maintenance_mode.MAX_MESSAGE_CHARS:
            raise CommandError(f"--message must have at most {maintenance_mode.MAX_MESSAGE_CHARS} characters")
        try:
            if what == "on":
                until = None if minutes is None else timezone.now() + timedelta(minutes=minutes)
                maintenance_mode.switch_on(actor=None, message=message, until=until)
            elif what == "off":
                maintenance_mode.switch_off(actor=None)
        except APGError as error:
            raise CommandError(error.message) from None
        self._tell()

    def _tell(self) -> None:
        mode, load = maintenance_mode.current(), maintenance_mode.load()
        if mode.held and mode.since is not None:
            expected = f", expected until {iso(mode.until)}" if mode.until is not None else ""
            self.stdout.write(f"Maintenance mode is on since {iso(mode.since)}{expected}: new executions are held")
        else:
            self.stdout.write("Maintenance mode is off")
        self.stdout.write(f"executions under way  {load.executions}")
        self.stdout.write(f"components running    {load.running}")
        self.stdout.write(f"components queued     {load.queued}")
        self.stdout.write(f"executions waiting    {load.held}")
