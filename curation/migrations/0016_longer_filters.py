from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("curation", "0015_all_marks_of_a_pair"),
    ]

    operations = [
        migrations.AlterField(
            model_name="adjudication",
            name="because",
            field=models.CharField(blank=True, default="", max_length=4000),
        ),
        migrations.AlterField(
            model_name="selection",
            name="query",
            field=models.CharField(blank=True, default="", max_length=4000),
        ),
    ]
