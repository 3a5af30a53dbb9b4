from django.db import migrations

# Who settled a pair is kept from judging it: those from before there were recusals too.
RECUSED = """
INSERT INTO assignment (project_id, pair_id, priority, annotator_id, swapped, is_extra, is_recused, done_at)
SELECT DISTINCT d.project_id, d.pair_id, 0, r.adjudicator_id, false, false, true, now()
FROM ruling r JOIN adjudication d ON d.id = r.adjudication_id WHERE r.outcome <> ''
ON CONFLICT DO NOTHING;
"""
# Across tables, so no check constraint can say it.
SETTLER = """
CREATE FUNCTION settler_is_recused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.outcome <> '' AND NOT EXISTS (
        SELECT 1 FROM adjudication d JOIN assignment a ON a.pair_id = d.pair_id
        WHERE d.id = NEW.adjudication_id AND a.annotator_id = NEW.adjudicator_id AND a.is_recused) THEN
        RAISE EXCEPTION 'settler_is_recused: this adjudicator could still be handed the pair' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settler_is_recused BEFORE INSERT ON ruling FOR EACH ROW EXECUTE FUNCTION settler_is_recused();
"""
NO_SETTLER = "DROP TRIGGER settler_is_recused ON ruling; DROP FUNCTION settler_is_recused();"


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0018_recused"),
        ("curation", "0009_facts_arrays"),
    ]

    operations = [
        migrations.RunSQL(RECUSED, migrations.RunSQL.noop),
        migrations.RunSQL(SETTLER, NO_SETTLER),
    ]
