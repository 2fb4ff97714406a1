from django.db import migrations, models


class Migration(migrations.Migration):
    """Sorted by workers, either way, those that have as many stand by name."""

    dependencies = [("clusters", "0004_ties_by_name")]

    operations = [
        migrations.AddIndex(
            model_name="cluster",
            index=models.Index(fields=["-workers_online", "name_folded"], name="cluster_most_workers"),
        ),
    ]
