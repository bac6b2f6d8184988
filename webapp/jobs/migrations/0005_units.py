from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0004_alter_job_kind")]

    operations = [
        migrations.RenameField("shard", "windows_done", "units_done"),
        migrations.RenameField("shard", "windows_total", "units_total"),
        migrations.RenameField("shard", "windows_skipped", "units_skipped"),
    ]
