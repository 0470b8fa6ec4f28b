import executions.states
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0003_backfill_queue_columns'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='componentrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', executions.states.RunStatus['WAITING']), _negated=True), ('waiting_for__in', [executions.states.WaitingFor['SIGNAL'], executions.states.WaitingFor['CHILD'], executions.states.WaitingFor['ITEMS']]), models.Q(('waiting_for__isnull', False), ('wake_at__isnull', False)), _connector='OR'), name='component_run_waits_for_something'),
        ),
    ]
