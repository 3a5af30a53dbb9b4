from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0017_reasons_after_the_lock"),
    ]

    operations = [
        migrations.AddField(
            model_name="assignment",
            name="is_recused",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name="assignment",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_recused", False), ("slot", None), _connector="OR"), name="recused_has_no_slot"
            ),
        ),
    ]
