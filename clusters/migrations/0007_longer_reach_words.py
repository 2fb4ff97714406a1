from django.db import migrations, models


def forget_load(apps, schema_editor):
    """Those that are gone carry nothing, whatever they said last."""
    workers = apps.get_model("clusters", "Worker").objects.filter(state__in=("stopped", "dead"))
    workers.update(connections=0, cpu_percent=0)


class Migration(migrations.Migration):

    dependencies = [
        ("clusters", "0006_workers_restart"),
    ]

    operations = [
        migrations.AlterField(
            model_name="cluster",
            name="reach_words",
            field=models.CharField(default="", editable=False, max_length=1000),
        ),
        migrations.RunPython(forget_load, migrations.RunPython.noop),
    ]
