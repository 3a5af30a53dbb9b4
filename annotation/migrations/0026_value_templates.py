"""A project's own values for system messages, by version."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# What it said stays as it is; who wrote it may leave.
TEMPLATE = """
CREATE FUNCTION value_template_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id' THEN
        RAISE EXCEPTION 'value_template_is_immutable: a template is changed by a new version' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER value_template_is_immutable BEFORE UPDATE ON value_template FOR EACH ROW EXECUTE FUNCTION value_template_is_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0025_reading_goes_on")]

    operations = [
        migrations.CreateModel(
            name="ValueTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(max_length=40)),
                ("version", models.PositiveIntegerField()),
                ("text", models.TextField()),
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
                        related_name="value_templates",
                        to="annotation.project",
                    ),
                ),
            ],
            options={
                "db_table": "value_template",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name", "version"), name="one_value_template_per_version"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            TEMPLATE,
            "DROP TRIGGER value_template_is_immutable ON value_template; DROP FUNCTION value_template_is_immutable();",
        ),
    ]
