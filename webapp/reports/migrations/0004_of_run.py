from django.db import migrations, models


def fill(apps, schema_editor):
    Report = apps.get_model("reports", "Report")
    for report in Report.objects.exclude(slide=None).only("facts").iterator():
        count = (report.facts or {}).get("count") or {}
        mpp = count.get("mpp") or [None]
        Report.objects.filter(pk=report.pk).update(of_run=count.get("run"), of_mpp=mpp[0])


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0003_tombstones"),
    ]

    operations = [
        migrations.AddField(model_name="report", name="of_mpp", field=models.FloatField(editable=False, null=True)),
        migrations.AddField(model_name="report", name="of_run", field=models.UUIDField(editable=False, null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
