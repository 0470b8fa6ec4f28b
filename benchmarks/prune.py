"""How fast executions go: of 1,000,000 over two years those older than 90 days, or all with their workflow."""

import argparse
import os
import resource
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXECUTIONS, DAYS, KEPT_DAYS = 1_000_000, 730, 90
COMPONENTS = 4
_CHUNK = 50_000

# Chains of four with 2 events each and one for each of the execution's start, end and log lines.
_FILL = """
WITH made AS MATERIALIZED (
    SELECT number, clock_timestamp() - make_interval(secs => (%(total)s - number) * %(step)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s) AS number
), execution AS MATERIALIZED (
    SELECT at, (substr(executions_first_id(at AT TIME ZONE 'UTC')::text, 1, 14)
                || substr(gen_random_uuid()::text, 15))::uuid AS id FROM made
), stored AS (
    INSERT INTO executions_execution (id, workflow_id, workflow_owner_id, version_id, created_by_id, status, priority,
        parameters, tags, trigger, request_id, total_components, remaining, ended_components, sequence, created_at,
        admitted_at, started_at, completed_at, results)
    SELECT id, %(workflow)s, %(owner)s, %(version)s, %(owner)s, 'completed', 5, '{"a": 1}', '{}', '{"type": "manual"}',
           '', %(components)s, 0, %(components)s, 2 + 3 * %(components)s, at, at, at, at + interval '2 s', '{"b": 1}'
    FROM execution
), run AS (
    INSERT INTO executions_componentrun (id, execution_id, component_id, component_type, position, owner_id, status,
        taken_out, output, started_at, completed_at)
    SELECT uuidv7(), id, 'c' || position, 'log', position, %(owner)s, 'completed', '{}', '{"message": "a line"}',
           at, at + interval '1 s'
    FROM execution, generate_series(1, %(components)s) AS position
)
INSERT INTO events_event (subject_id, workflow_id, owner_id, sequence, type, data, timestamp)
SELECT id, %(workflow)s, %(owner)s, sequence, 'log', '{"level": "info", "message": "a line", "metadata": {}}', at
FROM execution, generate_series(1, 2 + 3 * %(components)s) AS sequence
"""


def main(executions: int, folder: Path, *, with_workflow: bool) -> None:
    """Fill an empty database in `folder`, if it is empty, and prune it, or delete the workflow."""
    from config.embedded import start_postgres

    os.environ |= {
        "DATABASE_URL": start_postgres(folder),
        "REDIS_URL": "redis://127.0.0.1:1",
        "APG_SECRET_KEY": secrets.token_urlsafe(48),
        "APG_LOG_LEVEL": "WARNING",
        "APG_KEEP_EXECUTION_DAYS": str(KEPT_DAYS),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(executions)
    if with_workflow:
        delete()
        prune("executions of deleted workflows")
    else:
        prune("executions by age")


def fill(executions: int) -> None:
    """As many executions of one workflow as are missing, evenly over the days."""
    from django.db import connection, transaction

    from accounts.models import User
    from core.ids import to_uuid
    from workflows.services import create_workflow

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM executions_execution")
        stored = cursor.fetchone()[0]
        if stored:
            return
        user = User.objects.create_user("big@example.com", None)
        definition = {"components": [{"id": "c1", "type": "log", "config": {"message": "m"}}], "connections": []}
        workflow = create_workflow(user=user, name="filled", definition=definition)
        parameters: dict[str, Any] = {
            "workflow": to_uuid(workflow.pk),
            "version": to_uuid(workflow.versions.get().pk),
            "owner": to_uuid(user.pk),
            "components": COMPONENTS,
            "total": executions,
            "step": DAYS * 86_400 / executions,
        }
        while stored < executions:
            last = min(stored + _CHUNK, executions)
            with transaction.atomic():
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute(_FILL, {**parameters, "first": stored + 1, "last": last})
            stored = last
            print(f"{stored:,} executions stored", file=sys.stderr)
        for table in ("executions_execution", "executions_componentrun", "events_event"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    from executions.maintenance import seal_days

    while seal_days():
        pass


def delete() -> None:
    """Says how long the workflow's deletion takes, and how much memory."""
    from workflows.models import Workflow
    from workflows.services import delete_workflow

    workflow = Workflow.objects.get()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    delete_workflow(workflow=workflow, force=False)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"The workflow is deleted in {seconds * 1000:,.0f} ms, with {(after - before) / 1024:,.0f} MiB")


def prune(name: str) -> None:
    """Says how long each batch took, and how many executions went a second."""
    from config.retention import RULES, take_turn
    from core.pruning import Pruned, Rule

    took: list[float] = []
    gone, began = 0, time.perf_counter()
    last = began

    def progress(rule: Rule, pruned: Pruned) -> None:
        nonlocal last, gone
        now = time.perf_counter()
        gone += pruned.rows.get("executions_execution", 0)
        if pruned.rows.get("executions_execution"):
            took.append(now - last)
        last = now

    take_turn([rule for rule in RULES if rule.name == name], progress=progress)
    seconds = time.perf_counter() - began
    took.sort()
    if took:
        print(
            f"{gone:,} executions in {seconds:.1f} s: {gone / seconds:,.0f} a second; a batch takes "
            f"{took[len(took) // 2] * 1000:.0f} ms (median), {took[-1] * 1000:.0f} ms (longest)"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--with-workflow", action="store_true", help="all of them, with their workflow")
    parser.add_argument("--folder", type=Path, help="where the database is kept; default: a temporary one")
    arguments = parser.parse_args()
    chosen: Path = arguments.folder or Path(tempfile.mkdtemp(prefix="apg-prune-"))
    try:
        main(arguments.executions, chosen, with_workflow=arguments.with_workflow)
    finally:
        from config.embedded import stop_postgres

        stop_postgres(chosen)
        if arguments.folder is None:
            shutil.rmtree(chosen, ignore_errors=True)
