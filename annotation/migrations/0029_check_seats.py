"""The number by which somebody had a check, kept where its slot is not."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0028_pairs_of_one_prompt"),
    ]

    operations = [
        migrations.CreateModel(
            name="CheckSeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("assignment_number", models.BigIntegerField()),
                (
                    "annotator",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="annotation.annotator",
                    ),
                ),
                (
                    "pair",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="annotation.pair",
                    ),
                ),
            ],
            options={
                "db_table": "check_seat",
                "constraints": [models.UniqueConstraint(fields=("pair", "annotator"), name="one_number_per_check")],
            },
        ),
    ]
