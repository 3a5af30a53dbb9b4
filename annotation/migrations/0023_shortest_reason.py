from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0022_reactions_are_taken_back")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="shortest_reason",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(("shortest_reason__lte", 1000)), name="project_shortest_reason_to_1000"
            ),
        ),
    ]
