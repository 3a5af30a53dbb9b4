"""Cursors and drafts are updated in place all the time: half-empty pages keep those updates off the indexes (HOT)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("annotation", "0003_fewer_indexes")]

    operations = [
        migrations.RunSQL(f"ALTER TABLE {table} SET (fillfactor = 50)", f"ALTER TABLE {table} RESET (fillfactor)")
        for table in ("annotator", "draft")
    ]
