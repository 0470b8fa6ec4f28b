"""`manage.py rotate_keys`: seals everything under the first key of APG_ENCRYPTION_KEYS; the platform may run."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import vault
from config.key_rotation import ALL_SEALED, Rotation, SealedColumn, count_by_key, rotate

_ROW = "{:<42} {:>10} {:>10} {:>12}"


class Command(BaseCommand):
    """May be interrupted and repeated. Ends with 1, naming the rows, if some do not open."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count what is sealed under each key; change nothing"
        )

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self._count()
            return
        done = {column.name: self._rotate(column) for column in ALL_SEALED}
        first = vault.key_ids()[0]
        self.stdout.write(_ROW.format("column", "resealed", "left", "do not open"))
        for column in ALL_SEALED:
            left = sum(count for key, count in count_by_key(column).items() if key != first)
            rotation = done[column.name]
            self.stdout.write(_ROW.format(column.name, rotation.resealed, left, len(rotation.broken)))
        broken = [(name, row, why) for name, rotation in done.items() for row, why in rotation.broken.items()]
        for name, row, why in broken:
            self.stderr.write(f"{name} {row}: {why}")
        if broken:
            raise CommandError(f"Rows that do not open: {len(broken)}")

    def _rotate(self, column: SealedColumn) -> Rotation:
        def progress(done: Rotation) -> None:
            self.stdout.write(f"{column.name}: {done.resealed} sealed again")

        return rotate(column, progress)

    def _count(self) -> None:
        keys = vault.key_ids()
        self.stdout.write(f"{'column':<42} {'key':<10} {'rows':>10}")
        for column in ALL_SEALED:
            for key, count in sorted(count_by_key(column).items()):
                note = "first" if key == keys[0] else "in the ring" if key in keys else "not in the ring"
                self.stdout.write(f"{column.name:<42} {key:<10} {count:>10}  {note}")
