from django.db import migrations, models

from webapp.annotations.roi import region_of_interest, roi_contains


def place(apps, schema_editor):
    """Candidates outside the tumour regions or in exclusions; `measure_tissue` does it by tissue as well."""
    import numpy as np

    Candidate, Region, Slide = (
        apps.get_model("annotations", "Candidate"),
        apps.get_model("annotations", "Region"),
        apps.get_model("slides", "Slide"),
    )
    drawn = Region.objects.filter(ended_at=None).values_list("slide", flat=True)
    for slide in Slide.objects.filter(pk__in=drawn).iterator():
        roi = region_of_interest(slide, Region.objects.filter(slide=slide, ended_at=None))
        rows = list(Candidate.objects.filter(run__slide=slide).values_list("pk", "x", "y"))
        inside = roi_contains(roi, np.array([row[1:] for row in rows], float).reshape(-1, 2))
        outside = [row[0] for row, counts in zip(rows, inside, strict=True) if not counts]
        for first in range(0, len(outside), 5000):
            Candidate.objects.filter(pk__in=outside[first : first + 5000]).update(evaluable=False)


class Migration(migrations.Migration):
    dependencies = [
        ("annotations", "0004_tissue_regions"),
        ("slides", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="candidate",
            name="evaluable",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether it lies on the evaluable area of its slide, as that is now.",
            ),
        ),
        migrations.RunPython(place, migrations.RunPython.noop),
    ]
