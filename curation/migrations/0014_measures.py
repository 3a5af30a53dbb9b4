from django.db import migrations, models

# What facts that are there say of difficulty; of which run their margins are is known when they are gathered again.
_KNOWN = """
    UPDATE facts_state SET measures = jsonb_build_object('difficulty', jsonb_build_object(
        'model', model, 'run', models_measured -> model, 'metric', 'held_out_loss'))
    WHERE model <> '' AND models_measured ? model
"""


class Migration(migrations.Migration):
    dependencies = [
        ("curation", "0013_release_missed"),
    ]

    operations = [
        migrations.AddField(model_name="factsstate", name="measures", field=models.JSONField(default=dict)),
        migrations.AddField(model_name="selection", name="measures", field=models.JSONField(default=dict)),
        migrations.RunSQL(_KNOWN, migrations.RunSQL.noop),
    ]
