import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("slides", "0002_identity"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.AddField(
            model_name="slide",
            name="reader",
            field=models.ForeignKey(
                blank=True,
                help_text="Whose it is to read.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="to_read",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
