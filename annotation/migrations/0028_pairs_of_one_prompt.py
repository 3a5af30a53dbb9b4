"""A pair's candidates answer its own prompt, and the prompt is of its project: held by the database."""

from django.db import migrations

# Once for all rows of a statement: an import writes a hundred thousand.
PAIRS = """
CREATE FUNCTION pair_is_of_one_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM fresh JOIN prompt ON prompt.id = fresh.prompt_id
          JOIN candidate f ON f.id = fresh.first_id JOIN candidate s ON s.id = fresh.second_id
        WHERE f.prompt_id <> fresh.prompt_id OR s.prompt_id <> fresh.prompt_id
          OR prompt.project_id <> fresh.project_id) THEN
        RAISE EXCEPTION 'pair_is_of_one_prompt: both candidates answer the prompt of the pair, in its project'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pair_is_of_one_prompt AFTER INSERT ON pair REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION pair_is_of_one_prompt();

CREATE FUNCTION pair_stays_of_one_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'pair_stays_of_one_prompt: another prompt or another candidate is another pair'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER pair_stays_of_one_prompt BEFORE UPDATE OF project_id, prompt_id, first_id, second_id ON pair
    FOR EACH ROW WHEN ((OLD.project_id, OLD.prompt_id, OLD.first_id, OLD.second_id)
        IS DISTINCT FROM (NEW.project_id, NEW.prompt_id, NEW.first_id, NEW.second_id))
    EXECUTE FUNCTION pair_stays_of_one_prompt();

CREATE FUNCTION candidate_stays_with_its_prompt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'candidate_stays_with_its_prompt: a candidate answers one prompt for good'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER candidate_stays_with_its_prompt BEFORE UPDATE OF prompt_id ON candidate
    FOR EACH ROW WHEN (OLD.prompt_id <> NEW.prompt_id) EXECUTE FUNCTION candidate_stays_with_its_prompt();
CREATE TRIGGER prompt_stays_in_its_project BEFORE UPDATE OF project_id ON prompt
    FOR EACH ROW WHEN (OLD.project_id <> NEW.project_id) EXECUTE FUNCTION prompt_stays_in_its_project();
"""
PROMPTS = """
CREATE FUNCTION prompt_stays_in_its_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'prompt_stays_in_its_project: a prompt belongs to one project for good'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
UNDONE = """
DROP TRIGGER prompt_stays_in_its_project ON prompt; DROP FUNCTION prompt_stays_in_its_project();
DROP TRIGGER candidate_stays_with_its_prompt ON candidate; DROP FUNCTION candidate_stays_with_its_prompt();
DROP TRIGGER pair_stays_of_one_prompt ON pair; DROP FUNCTION pair_stays_of_one_prompt();
DROP TRIGGER pair_is_of_one_prompt ON pair; DROP FUNCTION pair_is_of_one_prompt();
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0027_digest_of_hub_models")]

    operations = [migrations.RunSQL(PROMPTS + PAIRS, UNDONE)]
