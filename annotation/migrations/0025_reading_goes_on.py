"""An answer that is taken back or changed has been read before: its time and coverage go on from there.

The page measures each stretch in front of a pair by itself. A judgement tells of all of them, up to its answer: somebody
who corrects a slip in a second has not judged in a second. Unknown before is unknown after: who knows the last stretch
only does not know the reading. What came with a file, from a judge, or is implied by a ranking was not measured here.
Judgements are only ever appended: those that are stored tell of their last stretch, as before.
"""

from django.db import migrations

TRIGGER = """
CREATE FUNCTION judgement_goes_on_reading() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before record;
BEGIN
    SELECT active_ms, first_key_ms, coverage_first, coverage_second INTO before FROM judgement j
    WHERE j.assignment_id = NEW.assignment_id AND j.annotator_id = NEW.annotator_id AND j.revision < NEW.revision
      AND j.run_id IS NULL AND j.ranking_id IS NULL
    ORDER BY j.revision DESC LIMIT 1;
    IF FOUND THEN
        NEW.active_ms := CASE WHEN before.active_ms IS NOT NULL
            THEN least(before.active_ms::bigint + coalesce(NEW.active_ms, 0), 2147483647) END;
        NEW.first_key_ms := before.first_key_ms;
        NEW.coverage_first :=
            CASE WHEN before.coverage_first IS NOT NULL THEN greatest(before.coverage_first, NEW.coverage_first) END;
        NEW.coverage_second :=
            CASE WHEN before.coverage_second IS NOT NULL THEN greatest(before.coverage_second, NEW.coverage_second) END;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER judgement_goes_on_reading BEFORE INSERT ON judgement FOR EACH ROW
    WHEN (NEW.revision > 1 AND NEW.run_id IS NULL AND NEW.ranking_id IS NULL)
    EXECUTE FUNCTION judgement_goes_on_reading();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0024_truncated_distributions")]

    operations = [
        migrations.RunSQL(
            TRIGGER,
            "DROP TRIGGER judgement_goes_on_reading ON judgement; DROP FUNCTION judgement_goes_on_reading();",
        ),
    ]
