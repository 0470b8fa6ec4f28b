from django.db import migrations, transaction

from workflows.sealing import open_definition, split_definition

_BATCH = 100


def _rewrite(apps, schema_editor, change):
    """Each batch in a transaction of its own, so that no lock lasts; interrupted and begun again, it goes on."""
    versions = apps.get_model('workflows', 'WorkflowVersion').objects.using(schema_editor.connection.alias)
    last = None
    while True:
        rows = versions.order_by('pk') if last is None else versions.order_by('pk').filter(pk__gt=last)
        with transaction.atomic(using=schema_editor.connection.alias):
            batch = list(rows[:_BATCH])
            for version in batch:
                change(version)
        if not batch:
            return
        last = batch[-1].pk


def _seal(version):
    if version.sealed_definition is None:
        version.definition, version.sealed_definition = split_definition(version.definition, version_id=version.pk)
        if version.sealed_definition is not None:
            version.save(update_fields=['definition', 'sealed_definition'])


def _open(version):
    if version.sealed_definition is not None:
        sealed = version.sealed_definition
        version.definition = open_definition(version.definition, sealed, version_id=version.pk)
        version.sealed_definition = None
        version.save(update_fields=['definition', 'sealed_definition'])


def seal(apps, schema_editor):
    _rewrite(apps, schema_editor, _seal)


def unseal(apps, schema_editor):
    _rewrite(apps, schema_editor, _open)


class Migration(migrations.Migration):
    """Definitions are stored as they may be shown, and the whole sealed beside where something is hidden."""

    atomic = False

    dependencies = [
        ('workflows', '0003_version_sealed_definition'),
    ]

    operations = [migrations.RunPython(seal, unseal)]
