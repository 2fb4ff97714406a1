from django.db import migrations

from ui.migrations import trigram_index


class Migration(migrations.Migration):
    dependencies = [("clusters", "0001_initial")]

    operations = trigram_index("clusters_cluster", "name_folded")
