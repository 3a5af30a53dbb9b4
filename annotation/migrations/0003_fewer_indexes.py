"""Each index is one more write for every imported row: those that a constraint serves already are dropped."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0002_facts_are_appended"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="candidate",
            name="one_candidate_per_run_prompt_index",
        ),
        migrations.AlterField(
            model_name="candidate",
            name="run",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="candidates",
                to="annotation.run",
            ),
        ),
        migrations.AlterField(
            model_name="pair",
            name="imported_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="annotation.run",
            ),
        ),
        migrations.AlterField(
            model_name="prompt",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="prompts",
                to="annotation.project",
            ),
        ),
        migrations.AddConstraint(
            model_name="candidate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("run__isnull", False)),
                fields=("run", "prompt", "index"),
                name="one_candidate_per_run_prompt_index",
            ),
        ),
    ]
