"""What the branching factor of a prompt is made from is kept with each of its samples."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

# Of an output of more than 50 tokens its own figure was minus this sum by token. Of a shorter one it was the mean of
# its entropies, from which they cannot be had back.
LONG = """
UPDATE candidate SET truncated_log_probability = - branching_share * token_count
WHERE branching_share IS NOT NULL AND token_count > 50
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0023_shortest_reason")]

    operations = [
        migrations.AddField(
            model_name="candidate",
            name="truncated_entropies",
            field=ArrayField(base_field=models.FloatField(), blank=True, null=True, size=50),
        ),
        migrations.AddField(
            model_name="candidate",
            name="truncated_log_probability",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.RunSQL(LONG, migrations.RunSQL.noop),
    ]
