from django.apps import AppConfig


class SlidesConfig(AppConfig):
    name = "webapp.slides"

    def ready(self) -> None:
        from webapp.slides import signals  # noqa: F401  connects them
        from webapp.slides.provider_groups import meanings_in_force

        try:
            meanings_in_force()
        except ValueError as error:
            raise SystemExit(f"OIDC_GROUPS: {error}") from error
