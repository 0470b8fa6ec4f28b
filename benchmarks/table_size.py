"""Whether a component costs the same with 10^2, 10^4 and 10^6 stored executions: a chain of 40 at each size."""

import argparse
import sys

from rich.console import Console

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Database, Stack, chain, platform

LENGTH = 40
RUNS = 9
WARM_UP = 3
SIZES = (100, 10_000, 1_000_000)
_CHUNK = 50_000
_SEED = 100
_BAR = 1.3

# The parents' rows, and what refers to them. Whatever columns a table has are copied as they are.
_TABLES = {
    "executions_execution": "id",
    "executions_componentrun": "execution_id",
    "events_event": "subject_id",
}


def measure(stack: Stack, sizes: tuple[int, ...] = SIZES) -> Report:
    """Needs a platform of its own: its tables are full afterwards."""
    long, short = stack.workflow("chain", *chain(LENGTH)), stack.workflow("stored", *chain(3))
    client = stack.client()
    client.execute_batch(short, _SEED)
    stack.wait_for_all(short)
    figures = []
    first: float | None = None
    with stack.database() as database:
        stored = _SEED
        for size in sizes:
            while stored < size:
                stored += _copy(database, min(_CHUNK, size - stored))
                print(f"{stored:,} executions stored", file=sys.stderr)
            for table in _TABLES:
                database.execute(f"VACUUM ANALYZE {table}")
            milliseconds = [stack.run(long, client) * 1000 / LENGTH for _ in range(WARM_UP + RUNS)][WARM_UP:]
            figure = Figure(
                f"{size:,} stored executions",
                milliseconds,
                "ms",
                bar=None if first is None else first * _BAR,
                digits=2,
            )
            first = figure.median if first is None else first
            figures.append(figure)
    client.close()
    return Report(
        "Cost of a component by what is stored",
        f"A chain of {LENGTH}, {RUNS} runs each after {WARM_UP} to warm up, divided by {LENGTH}. The stored executions "
        f"are copies of {_SEED} that ran, with their component runs and events. The bar is {_BAR} times the first row.",
        figures,
    )


def _copy(database: Database, count: int) -> int:
    """Store `count` more executions, copies under new ids of those that ran; how many."""
    with database.transaction():
        # Copies refer to what is there; checking each reference would take most of the time.
        database.execute("SET LOCAL session_replication_role = replica")
        database.execute(
            f"""
            CREATE TEMPORARY TABLE copied ON COMMIT DROP AS
            SELECT original.id AS old_id, uuidv7() AS new_id
            FROM (SELECT id FROM executions_execution ORDER BY id LIMIT {_SEED}) AS original,
                 generate_series(1, {-(-count // _SEED)})
            LIMIT {count}
            """
        )
        database.execute("ANALYZE copied")
        for table, reference in _TABLES.items():
            values = {name: f"source.{name}" for name in _columns(database, table)}
            values[reference] = "copied.new_id"
            if reference != "id":
                # A row of its own: the uuid in order of time, the number by its sequence.
                if table == "events_event":
                    del values["id"]
                else:
                    values["id"] = "uuidv7()"
            database.execute(
                f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
                f"FROM copied JOIN {table} AS source ON source.{reference} = copied.old_id"
            )
    return count


def _columns(database: Database, table: str) -> list[str]:
    rows = database.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'", [table]
    )
    return [str(row[0]) for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of stored executions, ascending")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    Console(stderr=True).print(f"Measuring at {', '.join(f'{size:,}' for size in arguments.sizes)} stored executions")
    with platform() as running:
        show(measure(running, tuple(arguments.sizes)))
