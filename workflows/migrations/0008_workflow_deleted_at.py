from django.db import migrations, models


class Migration(migrations.Migration):
    """A workflow that is deleted with very many executions stays, hidden, until these have gone."""

    dependencies = [("workflows", "0007_workflow_keep")]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="deleted_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", False)),
                fields=["deleted_at"],
                name="workflow_being_deleted",
            ),
        ),
    ]
