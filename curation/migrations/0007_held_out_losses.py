"""Every held-out loss, with the training that gave it: appended, never changed."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

APPENDED = """
CREATE FUNCTION held_out_is_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'held_out_is_appended: trainings and their losses are never changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER held_out_is_appended BEFORE UPDATE ON held_out_training FOR EACH ROW EXECUTE FUNCTION held_out_is_appended();
CREATE TRIGGER held_out_is_appended BEFORE UPDATE ON held_out_loss FOR EACH ROW EXECUTE FUNCTION held_out_is_appended();
"""
CHANGED = """
DROP TRIGGER held_out_is_appended ON held_out_loss;
DROP TRIGGER held_out_is_appended ON held_out_training;
DROP FUNCTION held_out_is_appended();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0009_another_opinion"),
        ("curation", "0006_rulings"),
    ]

    operations = [
        migrations.CreateModel(
            name="HeldOutTraining",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("model", models.CharField(max_length=200)),
                ("revision", models.CharField(max_length=100)),
                ("digest", models.CharField(max_length=64)),
                ("seed", models.BigIntegerField()),
                ("half", models.PositiveSmallIntegerField()),
                ("trained_on", models.PositiveIntegerField()),
                (
                    "steps",
                    django.contrib.postgres.fields.ArrayField(base_field=models.PositiveIntegerField(), size=None),
                ),
                ("seconds", models.FloatField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="trainings", to="annotation.run"
                    ),
                ),
            ],
            options={
                "db_table": "held_out_training",
            },
        ),
        migrations.CreateModel(
            name="HeldOutLoss",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("checkpoint", models.PositiveSmallIntegerField()),
                ("loss", models.FloatField()),
                (
                    "pair",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="held_out_losses",
                        to="annotation.pair",
                    ),
                ),
                (
                    "training",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="losses",
                        to="curation.heldouttraining",
                    ),
                ),
            ],
            options={
                "db_table": "held_out_loss",
            },
        ),
        migrations.AddConstraint(
            model_name="heldouttraining",
            constraint=models.UniqueConstraint(
                fields=("run", "digest", "seed", "half"), name="one_training_per_seed_and_half"
            ),
        ),
        migrations.AddConstraint(
            model_name="heldoutloss",
            constraint=models.UniqueConstraint(
                fields=("training", "pair", "checkpoint"), name="one_loss_per_training_pair_checkpoint"
            ),
        ),
        migrations.AddConstraint(
            model_name="heldoutloss",
            constraint=models.CheckConstraint(
                condition=models.Q(("loss__gte", 0), ("loss__lt", 1e300)), name="a_loss_is_a_number_from_zero"
            ),
        ),
        migrations.RunSQL(APPENDED, CHANGED),
    ]
