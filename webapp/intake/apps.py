from django.apps import AppConfig


class IntakeConfig(AppConfig):
    name = "webapp.intake"

    def ready(self) -> None:
        from webapp.intake import signals  # noqa: F401  listens from now on
