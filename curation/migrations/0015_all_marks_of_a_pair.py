from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("curation", "0014_measures"),
    ]

    operations = [
        migrations.AlterField(
            model_name="pairfact",
            name="marked",
            field=models.CharField(max_length=40),
        ),
    ]
