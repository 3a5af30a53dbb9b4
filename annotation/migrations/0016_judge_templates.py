"""A project's own templates for judges, by version; and what was hinted stays marked so."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# What a template said stays as it is; who wrote it may leave.
TEMPLATE = """
CREATE FUNCTION judge_template_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id' THEN
        RAISE EXCEPTION 'judge_template_is_immutable: a template is changed by a new version' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judge_template_is_immutable BEFORE UPDATE ON judge_template FOR EACH ROW EXECUTE FUNCTION judge_template_is_immutable();
"""

HINTED = """
CREATE FUNCTION hinted_stays_marked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'hinted_stays_marked: a rationale that was given the verdict stays marked' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER hinted_stays_marked BEFORE UPDATE ON rationale FOR EACH ROW WHEN (OLD.is_hinted AND NOT NEW.is_hinted) EXECUTE FUNCTION hinted_stays_marked();
"""


def drop(name: str, table: str) -> str:
    return f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();"


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0015_reward_models"),
    ]

    operations = [
        migrations.CreateModel(
            name="JudgeTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(max_length=40)),
                ("version", models.PositiveIntegerField()),
                ("system", models.TextField(blank=True, default="")),
                ("user", models.TextField()),
                ("system_overall", models.TextField(blank=True, default="")),
                ("user_overall", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judge_templates",
                        to="annotation.project",
                    ),
                ),
            ],
            options={
                "db_table": "judge_template",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name", "version"), name="one_judge_template_per_version"
                    )
                ],
            },
        ),
        migrations.RunSQL(TEMPLATE, drop("judge_template_is_immutable", "judge_template")),
        migrations.RunSQL(HINTED, drop("hinted_stays_marked", "rationale")),
    ]
