from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    name = "webapp.annotations"

    def ready(self) -> None:
        from webapp.annotations import signals  # noqa: F401  connects them
