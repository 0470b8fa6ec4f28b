"""Indexes that answer lists of the audit log by each of its filters."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0005_oauth'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='auditentry',
            index=models.Index(fields=['object_type', '-id'], name='audit_object_type'),
        ),
        AddIndexConcurrently(
            model_name='auditentry',
            index=models.Index(fields=['address', '-id'], name='audit_address'),
        ),
        AddIndexConcurrently(
            model_name='auditentry',
            index=models.Index(fields=['-at', '-id'], name='audit_time'),
        ),
        RemoveIndexConcurrently(
            model_name='auditentry',
            name='audit_at',
        ),
    ]
