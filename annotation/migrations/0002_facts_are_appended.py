"""Facts are appended, never overwritten: the database itself refuses."""

from django.db import migrations

EVENT = """
CREATE FUNCTION event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_is_append_only: events are never changed or removed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION event_is_append_only();
"""

# One change is allowed: a revision stops being the current one.
JUDGEMENT = """
CREATE FUNCTION judgement_is_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.is_current AND NOT NEW.is_current)
       OR to_jsonb(OLD) - 'is_current' IS DISTINCT FROM to_jsonb(NEW) - 'is_current' THEN
        RAISE EXCEPTION 'judgement_is_appended: a judgement is changed by a new revision' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judgement_is_appended BEFORE UPDATE ON judgement FOR EACH ROW EXECUTE FUNCTION judgement_is_appended();
"""

GUIDELINE = """
CREATE FUNCTION guideline_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(OLD) - 'created_by_id' IS DISTINCT FROM to_jsonb(NEW) - 'created_by_id' THEN
        RAISE EXCEPTION 'guideline_is_immutable: a guideline is changed by a new version' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guideline_is_immutable BEFORE UPDATE ON guideline FOR EACH ROW EXECUTE FUNCTION guideline_is_immutable();
"""


def drop(name: str, table: str) -> str:
    return f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();"


class Migration(migrations.Migration):
    dependencies = [("annotation", "0001_initial")]

    operations = [
        migrations.RunSQL(EVENT, drop("event_is_append_only", "event")),
        migrations.RunSQL(JUDGEMENT, drop("judgement_is_appended", "judgement")),
        migrations.RunSQL(GUIDELINE, drop("guideline_is_immutable", "guideline")),
    ]
