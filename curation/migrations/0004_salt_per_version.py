import django.db.models.deletion
from django.db import migrations, models

import curation.models.releases


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0005_one_check_less_per_slot"),
        ("curation", "0003_facts_and_adjudications"),
    ]

    operations = [
        migrations.CreateModel(
            name="Salt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.CharField(max_length=60)),
                ("salt", models.CharField(default=curation.models.releases.new_salt, editable=False, max_length=64)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="annotation.project"
                    ),
                ),
            ],
            options={
                "db_table": "release_salt",
                "constraints": [models.UniqueConstraint(fields=("project", "version"), name="one_salt_per_version")],
            },
        ),
    ]
