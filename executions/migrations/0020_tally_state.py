"""The row that deletes and the sealing of days take in turn is there before the first day is sealed."""

from django.db import migrations

# Waits for deletes that began when there was no row to take: what they delete is not to be counted.
_MAKE = """
LOCK TABLE executions_tallystate IN EXCLUSIVE MODE;
INSERT INTO executions_tallystate (id, sealed_until) VALUES (1, NULL) ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):

    dependencies = [("executions", "0019_open_children_index")]

    operations = [migrations.RunSQL(_MAKE, migrations.RunSQL.noop)]
