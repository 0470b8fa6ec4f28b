"""Indexes that answer lists and their counts; and away with those that they make needless."""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('executions', '0007_backfill_workflow_owner'),
        ('workflows', '0002_share'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='execution',
            index=models.Index(fields=['workflow', '-id'], include=('status', 'started_at', 'created_by'), name='execution_of_workflow'),
        ),
        AddIndexConcurrently(
            model_name='execution',
            index=models.Index(fields=['workflow_owner_id', '-id'], include=('status', 'created_by'), name='execution_of_owner'),
        ),
        AddIndexConcurrently(
            model_name='execution',
            index=models.Index(condition=models.Q(('started_at__isnull', False)), fields=['workflow_owner_id', '-started_at', '-id'], name='execution_of_owner_started'),
        ),
        AddIndexConcurrently(
            model_name='execution',
            index=models.Index(fields=['status', '-id'], name='execution_status'),
        ),
        AddIndexConcurrently(
            model_name='execution',
            index=models.Index(condition=models.Q(('started_at__isnull', False)), fields=['-started_at', '-id'], name='execution_started'),
        ),
        RemoveIndexConcurrently(
            model_name='execution',
            name='execution_workflow',
        ),
        migrations.AlterField(
            model_name='execution',
            name='created_by',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='executions', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='execution',
            name='workflow',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='executions', to='workflows.workflow'),
        ),
    ]
