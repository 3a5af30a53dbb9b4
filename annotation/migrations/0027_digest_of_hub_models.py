"""The files of a hub model are known by their digest, as those of a folder are: a commit's name says nothing of the disk."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0026_value_templates")]

    operations = [
        migrations.AddField(
            model_name="languagemodel",
            name="digest",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
    ]
