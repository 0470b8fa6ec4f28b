"""`manage.py prune`: deletes what is older than it is kept; with --dry-run it says what would go."""

from collections import Counter
from collections.abc import Sequence
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from config.retention import RULES, take_turn
from core.pruning import Pruned, Rule


class Command(BaseCommand):
    """Small batches with nobody waiting for them: the platform may run. May be interrupted and repeated."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go by now; delete nothing")
        parser.add_argument(
            "--table",
            action="append",
            default=[],
            choices=sorted({rule.table for rule in RULES}),
            metavar="TABLE",
            help="only by the rules of this table; may be given several times: "
            + ", ".join(sorted({rule.table for rule in RULES})),
        )

    def handle(self, *args: Any, dry_run: bool, table: list[str], **options: Any) -> None:
        # Django's wrapper writes like a file, but is none to the type checker.
        console = Console(file=cast("IO[str]", self.stdout), width=None if self.stdout.isatty() else 140)
        rules = [rule for rule in RULES if not table or rule.table in table]
        if dry_run:
            now = timezone.now()
            rows = {rule.name: Counter(rule.count(now)) for rule in rules}
            _print(console, "Would be deleted by now", rules, rows)
            return

        def progress(rule: Rule, pruned: Pruned) -> None:
            if pruned.more and any(pruned.rows.values()):
                self.stdout.write(f"{rule.name}: {sum(pruned.rows.values())} rows")

        turn = take_turn(rules, progress=progress)
        _print(console, "Deleted", rules, turn.rows)
        if turn.elsewhere:
            raise CommandError("A worker is pruning at this moment: it goes on, and nothing is left for this command")


def _print(console: Console, title: str, rules: Sequence[Rule], rows: dict[str, Counter[str]]) -> None:
    """By rule and table, with about what the rows take; deleted space is used again, not given back at once."""
    table = Table("rule", "keeps", "table", title=title, title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("about MiB", justify="right")
    sizes = _bytes_by_row()
    for rule in rules:
        counted = sorted((+rows.get(rule.name, Counter[str]())).items(), key=lambda entry: entry[0] != rule.table)
        for place, (name, count) in enumerate(counted or [(rule.table, 0)]):
            mebibytes = count * sizes.get(name, 0.0) / 2**20
            first = (rule.name, rule.keeps) if place == 0 else ("", "")
            table.add_row(*first, name, f"{count:,}", f"{mebibytes:,.1f}")
    console.print(table)


_SIZES = """
SELECT relname, pg_total_relation_size(oid) / GREATEST(reltuples, 1) FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND reltuples > 0
"""


def _bytes_by_row() -> dict[str, float]:
    """With indexes, as the last ANALYZE counted the rows."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZES)
        return {name: float(size) for name, size in cursor.fetchall()}
