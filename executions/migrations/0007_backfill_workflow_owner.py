"""Executions from before the column get their workflow's owner, ten thousand in a transaction."""

from django.db import migrations

_BATCH = """
UPDATE executions_execution AS execution SET workflow_owner_id = workflow.created_by_id
FROM workflows_workflow AS workflow
WHERE workflow.id = execution.workflow_id AND execution.id = ANY(ARRAY(
    SELECT id FROM executions_execution
    WHERE workflow_owner_id IS NULL AND id > %s ORDER BY id LIMIT 10000 FOR NO KEY UPDATE))
RETURNING execution.id
"""


def fill(apps, schema_editor):
    last = "00000000-0000-0000-0000-000000000000"
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(_BATCH, [last])
            filled = [row[0] for row in cursor.fetchall()]
            if not filled:
                return
            last = max(filled)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('executions', '0006_execution_workflow_owner'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
