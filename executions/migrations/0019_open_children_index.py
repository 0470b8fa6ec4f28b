"""Children whose parent is gone are looked for among those that have not ended, not among all there ever were."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """An index of a large table is made beside its use, so outside of a transaction."""

    atomic = False

    dependencies = [("executions", "0018_execution_traceparent")]

    operations = [
        AddIndexConcurrently(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("completed_at__isnull", True), ("parent_run__isnull", False)),
                fields=["parent_run"],
                name="execution_sweep_children",
            ),
        ),
    ]
