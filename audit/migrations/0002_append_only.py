from django.db import migrations

from audit import append_only


class Migration(migrations.Migration):
    """A later migration that alters the table must lift the guard before and put it up after: on SQLite Django
    alters a table by making a new one, which has no triggers."""

    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: append_only.guard(schema_editor),
            lambda apps, schema_editor: append_only.lift(schema_editor),
        ),
    ]
