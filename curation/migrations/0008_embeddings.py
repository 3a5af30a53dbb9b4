"""The vector of each pair by a run of the measure `embeddings`."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0012_gold_rounds"),
        ("curation", "0007_held_out_losses"),
    ]

    operations = [
        migrations.CreateModel(
            name="Embedding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("dimensions", models.PositiveSmallIntegerField()),
                ("vector", models.BinaryField()),
                (
                    "pair",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="embeddings", to="annotation.pair"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="embeddings",
                        to="annotation.run",
                    ),
                ),
            ],
            options={
                "db_table": "embedding",
                "constraints": [
                    models.UniqueConstraint(fields=("run", "pair"), name="one_embedding_per_run_and_pair"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("dimensions__gt", 0),
                            django.db.models.lookups.Exact(
                                models.Func(
                                    models.F("vector"), function="octet_length", output_field=models.IntegerField()
                                ),
                                django.db.models.expressions.CombinedExpression(
                                    models.F("dimensions"), "*", models.Value(4)
                                ),
                            ),
                        ),
                        name="vector_has_its_dimensions",
                    ),
                ],
            },
        ),
    ]
