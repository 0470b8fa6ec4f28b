from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workflows', '0006_trigger_slot'),
    ]

    operations = [
        migrations.AddField(
            model_name='workflow',
            name='keep_count',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='workflow',
            name='keep_days',
            field=models.PositiveIntegerField(null=True),
        ),
    ]
