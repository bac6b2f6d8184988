import re

from django.db import migrations

_NAMED = re.compile(r"The same file is here already as .*?, uploaded on (\d{4}-\d\d-\d\d)\.")


def without_names(apps, schema_editor):
    """Remarks name no other slide any more, which may be of a patient who is deleted."""
    slides = apps.get_model("slides", "Slide").objects.filter(remark__contains="The same file is here already as ")
    for slide in slides.only("pk", "remark").iterator():
        slide.remark = _NAMED.sub(r"The same file is here already, uploaded on \1.", slide.remark)
        slide.save(update_fields=["remark"])


class Migration(migrations.Migration):
    dependencies = [("slides", "0010_deletion")]
    operations = [migrations.RunPython(without_names, migrations.RunPython.noop)]
