from django.db import migrations

from ui.migrations import trigram_index


class Migration(migrations.Migration):
    dependencies = [("resources", "0001_initial")]

    operations = [
        *trigram_index("resources_resource", "name_folded"),
        *trigram_index("resources_resource", "hostname"),
    ]
