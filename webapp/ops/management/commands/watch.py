"""The name of `reap_jobs` until 0.2, kept for one version: `python manage.py watch`."""

from webapp.ops.management.commands.reap_jobs import Command

__all__ = ["Command"]
