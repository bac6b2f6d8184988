from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "webapp.reports"

    def ready(self) -> None:
        from webapp.reports import tombstones  # noqa: F401  listens to deletions
