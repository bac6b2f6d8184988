import json

from django.db import migrations

ACTIONS = {"uploaded": "slide uploaded", "drawn": "slide drawn", "assigned": "slide assigned", "um/px entered": "um/px entered"}


def keep_events(apps, schema_editor):
    """What was recorded of slides stands in the audit table from now on."""
    from webapp.audit.services import seal_of

    Entry = apps.get_model("audit", "Entry")
    events = apps.get_model("slides", "SlideEvent").objects.select_related("slide", "user").order_by("at", "pk")
    kept = []
    for event in events.iterator(1000):
        action = ACTIONS.get(event.action, "identity seen" if event.action.endswith(" seen") else event.action[:40])
        after = {"detail": event.detail} if event.detail else {"what": event.action}
        kept.append(
            Entry(
                at=event.at, who=event.user.username if event.user else "", who_id=event.user_id, origin="before 0.3",
                action=action, kind="slide", object_id=str(event.slide_id), object=event.slide.name,
                after=json.dumps(after, ensure_ascii=False),
            )
        )
    for entry in kept:
        entry.seal = seal_of(entry)
    Entry.objects.bulk_create(kept, batch_size=1000)


class Migration(migrations.Migration):

    dependencies = [
        ("audit", "0001_initial"),
        ("slides", "0007_member_roles"),
    ]

    operations = [
        migrations.RunPython(keep_events, migrations.RunPython.noop),
        migrations.DeleteModel(name="SlideEvent"),
    ]
