"""Whatever deletes an execution, its stored outputs are to go."""

from django.db import migrations

_FORWARDS = """
CREATE FUNCTION executions_doom_stored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE executions_storedoutput SET state = 'doomed' WHERE execution_id IN (SELECT id FROM gone);
    RETURN NULL;
END $$;
CREATE TRIGGER execution_doom_stored AFTER DELETE ON executions_execution
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION executions_doom_stored();
"""
_BACKWARDS = """
DROP TRIGGER execution_doom_stored ON executions_execution;
DROP FUNCTION executions_doom_stored();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0015_outputs_out_of_row'),
    ]

    operations = [migrations.RunSQL(_FORWARDS, _BACKWARDS)]
