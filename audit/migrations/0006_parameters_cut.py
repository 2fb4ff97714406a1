from django.db import migrations, models

from audit import append_only_requests


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_sessions_by_name")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: append_only_requests.lift(schema_editor),
            lambda apps, schema_editor: append_only_requests.guard(schema_editor),
        ),
        migrations.AddField("query", "parameters_total", models.PositiveBigIntegerField(null=True)),
        migrations.AddField("query", "parameters_last_length", models.PositiveBigIntegerField(null=True)),
        migrations.RunPython(
            lambda apps, schema_editor: append_only_requests.guard(schema_editor),
            lambda apps, schema_editor: append_only_requests.lift(schema_editor),
        ),
    ]
