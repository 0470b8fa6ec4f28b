"""The owner of an execution's workflow, in the execution itself; the database fills it in where nobody gives it."""

import core.ids
from django.db import migrations

# Also for the previous release, which does not know of the column and may still be running.
_FORWARDS = """
CREATE FUNCTION executions_workflow_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT created_by_id INTO NEW.workflow_owner_id FROM workflows_workflow WHERE id = NEW.workflow_id;
    RETURN NEW;
END $$;
CREATE TRIGGER execution_workflow_owner BEFORE INSERT ON executions_execution
FOR EACH ROW WHEN (NEW.workflow_owner_id IS NULL) EXECUTE FUNCTION executions_workflow_owner();
"""
_BACKWARDS = """
DROP TRIGGER execution_workflow_owner ON executions_execution;
DROP FUNCTION executions_workflow_owner();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0005_signal_sealed_data'),
    ]

    operations = [
        migrations.AddField(
            model_name='execution',
            name='workflow_owner_id',
            field=core.ids.ULIDField(null=True),
        ),
        migrations.RunSQL(_FORWARDS, _BACKWARDS),
    ]
