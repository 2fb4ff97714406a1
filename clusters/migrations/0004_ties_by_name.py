from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clusters", "0003_workers_join")]

    operations = [
        migrations.RemoveIndex(model_name="cluster", name="cluster_workers"),
        migrations.AddIndex(
            model_name="cluster",
            index=models.Index(fields=["workers_online", "name_folded"], name="cluster_by_workers"),
        ),
    ]
