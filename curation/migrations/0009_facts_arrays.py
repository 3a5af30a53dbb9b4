import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0012_gold_rounds"),
        ("curation", "0008_embeddings"),
    ]

    operations = [
        *[
            migrations.AddField(
                model_name="pairfact",
                name=name,
                field=django.contrib.postgres.fields.ArrayField(
                    base_field=models.BigIntegerField(), db_default=[], default=list, size=None
                ),
            )
            for name in ("favour_first", "favour_second", "annotators")
        ],
        migrations.CreateModel(
            name="FactsArray",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=20)),
                ("version", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="annotation.project",
                    ),
                ),
            ],
            options={
                "db_table": "facts_array",
                "constraints": [
                    models.UniqueConstraint(fields=("project", "key"), name="one_facts_array_per_key"),
                ],
            },
        ),
    ]
