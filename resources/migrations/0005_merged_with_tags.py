from django.db import migrations, models


class Migration(migrations.Migration):
    """An index in the order in which the index of tags has resources."""

    dependencies = [("resources", "0004_health_checks")]

    operations = [
        migrations.AddIndex(
            model_name="resource",
            index=models.Index(fields=["cluster", "id", "name_folded"], name="resource_cluster_id"),
        ),
    ]
