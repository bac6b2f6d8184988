from django.apps import AppConfig


class SlidesConfig(AppConfig):
    name = "webapp.slides"

    def ready(self) -> None:
        from webapp.slides import signals  # noqa: F401  connects them
