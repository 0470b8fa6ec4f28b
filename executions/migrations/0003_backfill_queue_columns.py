from django.db import migrations

_BACKFILL = """
UPDATE executions_componentrun AS run
SET owner_id = execution.created_by_id, priority = execution.priority,
    waiting_for = CASE WHEN run.status <> 'waiting' THEN NULL WHEN run.error IS NULL THEN 'time' ELSE 'retry' END
FROM executions_execution AS execution
WHERE execution.id = run.execution_id AND execution.completed_at IS NULL
"""


class Migration(migrations.Migration):
    """Runs that have not ended get the columns that order the queue and say what they wait for."""

    dependencies = [
        ('executions', '0002_loops_signals_children_queue'),
    ]

    operations = [migrations.RunSQL(_BACKFILL, migrations.RunSQL.noop)]
