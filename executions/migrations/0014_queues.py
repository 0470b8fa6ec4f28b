"""Queues by kind of work: what is stored waits in `default`, as workers that serve every queue take it from there."""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

import executions.states


class Migration(migrations.Migration):
    """Indexes of a large table are made and dropped beside its use, so outside of a transaction."""

    atomic = False

    dependencies = [
        ("executions", "0013_reaction"),
    ]

    operations = [
        migrations.AddField(
            model_name="componentrun",
            name="queue",
            field=models.CharField(db_default="default", default="default", max_length=16),
        ),
        migrations.AddField(
            model_name="worker",
            name="queues",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16), db_default=[], default=list, size=None
            ),
        ),
        AddIndexConcurrently(
            model_name="componentrun",
            index=models.Index(
                condition=models.Q(("held", False), ("status", executions.states.RunStatus["QUEUED"])),
                fields=["queue", "-priority", "owner_id", "id"],
                name="component_run_turn",
            ),
        ),
        RemoveIndexConcurrently(model_name="componentrun", name="component_run_queue"),
    ]
