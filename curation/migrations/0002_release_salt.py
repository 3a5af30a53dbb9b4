from __future__ import annotations

from django.db import migrations, models

import curation.models.releases


def give_each_its_own(apps, schema_editor):
    """The default is computed once for all rows that are there already; each needs one of its own."""
    for release in apps.get_model("curation", "Release").objects.only("pk").iterator():
        release.salt = curation.models.releases.new_salt()
        release.save(update_fields=["salt"])


class Migration(migrations.Migration):
    dependencies = [("curation", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="release",
            name="salt",
            field=models.CharField(default=curation.models.releases.new_salt, editable=False, max_length=64),
        ),
        migrations.RunPython(give_each_its_own, migrations.RunPython.noop),
    ]
