from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotations", "0002_people_judge")]

    operations = [
        migrations.CreateModel(
            name="PackedCandidates",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=models.CASCADE,
                        primary_key=True,
                        related_name="packed",
                        serialize=False,
                        to="annotations.run",
                    ),
                ),
                ("data", models.BinaryField()),
            ],
        ),
    ]
