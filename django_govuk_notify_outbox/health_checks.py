"""The outbox among the checks of django-health-check.

Install ``django-govuk-notify-outbox[health-check]``, and name the check in your ``HealthCheckView``. docs/operating.md
shows how.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import Error
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

from django_govuk_notify_outbox import durability, health
from django_govuk_notify_outbox.health import DEFAULTS, Thresholds


@dataclass
class OutboxHealthCheck(HealthCheck):  # type: ignore[misc]  # the package has no hints
    """Fails when there is a problem with sending or following emails. Its options are the thresholds, in seconds."""

    waiting: float = DEFAULTS.waiting
    overdue: float = DEFAULTS.overdue
    refused: float = DEFAULTS.refused

    # Not async: then it is given a thread
    def run(self) -> None:
        """Raise ServiceUnavailable with the problems, if there are any."""
        try:
            report = health.report(Thresholds(waiting=self.waiting, overdue=self.overdue, refused=self.refused))
        except Error:
            raise ServiceUnavailable("The database did not answer.") from None
        finally:
            durability.drop_old_connection()
        if not report.is_healthy:
            raise ServiceUnavailable(" ".join(problem.message for problem in report.problems))
