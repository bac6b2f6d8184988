"""manage.py check_reports: whether every signed report is as it was signed, and none is missing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.reports.models import Report
from webapp.reports.selectors import report_faults, reports_missing


class Command(BaseCommand):
    """Reads every report; ends with an error where one is not as it was signed."""

    help = "Check the hashes and seals of all signed reports."

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each fault."""
        checked = faulty = 0
        for report in Report.objects.order_by("signed_at").iterator(chunk_size=20):
            checked += 1
            faults = report_faults(report)
            faulty += bool(faults)
            for fault in faults:
                self.stdout.write(f"{report.pk} (version {report.version} of slide {report.slide_id}): {fault}")
        missing = reports_missing()
        for sentence in missing:
            self.stdout.write(sentence)
        if faulty or missing:
            raise CommandError(
                f"{faulty} of {checked} reports are not as they were signed, and {len(missing)} more are missing."
            )
        self.stdout.write(f"All {checked} reports are as they were signed.")
