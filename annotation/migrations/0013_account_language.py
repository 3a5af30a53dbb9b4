from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0012_gold_rounds")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", max_length=12),
        ),
    ]
