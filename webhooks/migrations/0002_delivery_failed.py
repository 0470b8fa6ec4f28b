"""Failed deliveries, few of many, for the admin."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("webhooks", "0001_initial")]
    operations = [
        migrations.AlterModelOptions("delivery", {"verbose_name_plural": "deliveries"}),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["-id"], include=["webhook"], condition=models.Q(status="failed"), name="delivery_failed"
            ),
        ),
    ]
