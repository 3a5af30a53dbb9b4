import django.db.models.deletion
from django.db import migrations, models

# An answer to an offer may be emptied once nothing that was made of it stands any more.
ANSWERED = """
CREATE OR REPLACE FUNCTION offer_is_drawn_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'shown_at' - 'answered_at' IS DISTINCT FROM to_jsonb(NEW) - 'shown_at' - 'answered_at'
       OR (OLD.shown_at IS NOT NULL AND NEW.shown_at IS DISTINCT FROM OLD.shown_at)
       OR (OLD.answered_at IS NOT NULL AND NEW.answered_at IS DISTINCT FROM OLD.answered_at
           AND (NEW.answered_at IS NOT NULL OR EXISTS (SELECT 1 FROM reaction WHERE offer_id = OLD.id)
                OR NOT EXISTS (SELECT 1 FROM reaction_taken_back WHERE offer_id = OLD.id))) THEN
        RAISE EXCEPTION 'offer_is_drawn_once: an offer is drawn, shown and answered once'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
BEFORE = """
CREATE OR REPLACE FUNCTION offer_is_drawn_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'shown_at' - 'answered_at' IS DISTINCT FROM to_jsonb(NEW) - 'shown_at' - 'answered_at'
       OR (OLD.shown_at IS NOT NULL AND NEW.shown_at IS DISTINCT FROM OLD.shown_at)
       OR (OLD.answered_at IS NOT NULL AND NEW.answered_at IS DISTINCT FROM OLD.answered_at) THEN
        RAISE EXCEPTION 'offer_is_drawn_once: an offer is drawn, shown and answered once'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""

TAKEN_BACK = """
CREATE FUNCTION taken_back_is_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'taken_back_is_appended: what was taken back is never changed'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER taken_back_is_appended BEFORE UPDATE ON reaction_taken_back
    FOR EACH ROW EXECUTE FUNCTION taken_back_is_appended();
"""
UNDONE = "DROP TRIGGER taken_back_is_appended ON reaction_taken_back; DROP FUNCTION taken_back_is_appended();"

CHOICES = [
    ("accepted", "Accepted"),
    ("edited", "Edited"),
    ("rejected", "Rejected"),
    ("ticked", "Ticked in a list"),
    ("left", "Left unticked in a list"),
]


class Migration(migrations.Migration):
    dependencies = [("annotation", "0021_rankings")]

    operations = [
        migrations.CreateModel(
            name="TakenBack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("choice", models.CharField(choices=CHOICES, max_length=8)),
                ("text", models.TextField(blank=True, default="")),
                ("distance", models.PositiveIntegerField(blank=True, null=True)),
                ("distance_share", models.FloatField(blank=True, null=True)),
                ("active_ms", models.PositiveIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("taken_back_at", models.DateTimeField()),
                (
                    "judgement",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="annotation.judgement",
                    ),
                ),
                (
                    "offer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="taken_back", to="annotation.offer"
                    ),
                ),
                (
                    "rationale",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="+",
                        to="annotation.rationale",
                    ),
                ),
            ],
            options={
                "db_table": "reaction_taken_back",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("taken_back_at__gte", models.F("created_at"))),
                        name="taken_back_after_it_was_given",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("choice", "edited"),
                                ("distance__gte", 1),
                                ("distance_share__isnull", False),
                                models.Q(("text", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("choice", "edited"), _negated=True),
                                ("distance", None),
                                ("distance_share", None),
                                ("text", ""),
                            ),
                            _connector="OR",
                        ),
                        name="only_an_edit_taken_back_has_a_text",
                    ),
                ],
            },
        ),
        migrations.RunSQL(ANSWERED, BEFORE),
        migrations.RunSQL(TAKEN_BACK, UNDONE),
    ]
