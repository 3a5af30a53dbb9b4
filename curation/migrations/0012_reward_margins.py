from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("curation", "0011_ruling_causes"),
    ]

    operations = [
        migrations.AddField(
            model_name="pairfact",
            name="reward_margin",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="pairfact",
            name="b_reward",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
    ]
