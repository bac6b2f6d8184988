from django.apps import AppConfig


class RetrainingConfig(AppConfig):
    name = "webapp.retraining"

    def ready(self) -> None:
        from webapp.retraining import forgetting, removals  # noqa: F401  listen to deletions
