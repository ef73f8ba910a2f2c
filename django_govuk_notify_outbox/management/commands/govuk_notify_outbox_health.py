"""``manage.py govuk_notify_outbox_health``: whether emails go out, for a person or a probe."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error

from django_govuk_notify_outbox import health
from django_govuk_notify_outbox.figures import Sync
from django_govuk_notify_outbox.health import DEFAULTS, Report, Thresholds
from django_govuk_notify_outbox.management import outbox


class Command(BaseCommand):
    """Ends with exit status 0 when all is well, else with 1."""

    help = "Say whether emails go out. The exit status is 0 when all is well, and 1 when there is a problem."
    # It is asked often, and by probes: Django's own checks would take longer than the answer
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the thresholds."""
        parser.add_argument("--json", action="store_true", help="print JSON instead of text")
        for name, meaning in (
            ("waiting", "an email that Notify has not accepted so long after it was made is a problem"),
            ("overdue", "an email that should have been sent or looked up so long ago is a problem"),
            ("refused", "a refusal of our key or clock no longer ago than this is a problem"),
        ):
            default = getattr(DEFAULTS, name)
            text = f"{meaning} (default: {default:g})"
            parser.add_argument(f"--{name}", type=float, default=default, metavar="SECONDS", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report."""
        thresholds = Thresholds(waiting=options["waiting"], overdue=options["overdue"], refused=options["refused"])
        try:
            report = health.report(thresholds)
        except Error as error:
            # Not its message: it may hold the database's address and user
            problem = {"id": "database", "message": f"The database did not answer: {type(error).__name__}."}
            known = {"healthy": False, "problems": [problem]}
            self.stdout.write(json.dumps(known, indent=2) if options["json"] else problem["message"])
            sys.exit(1)
        self.stdout.write(json.dumps(report.as_json(), indent=2) if options["json"] else _text(report))
        if not report.is_healthy:
            sys.exit(1)


def _text(report: Report) -> str:
    lines = [
        *([problem.message for problem in report.problems] or ["All is well."]),
        "",
        f"Waiting to be accepted by Notify: {outbox.backlog(report.waiting)}",
        f"Overdue to be sent:               {outbox.backlog(report.overdue.to_send)}",
        f"Overdue to be looked up:          {outbox.backlog(report.overdue.to_look_up)}",
        f"Sync:                             {_sync(report.sync)}",
        f"Sending:                          {_sending(report)}",
    ]
    return "\n".join(lines)


def _sync(sync: Sync) -> str:
    if sync.worked is None:
        return "has not worked yet"
    return "is at work" if sync.is_running else f"last worked {sync.worked:.0f} seconds ago"


def _sending(report: Report) -> str:
    held = "held for some seconds" if report.sending_held else "not held"
    if report.refused_for is None:
        return held
    return f"{held}; Notify has accepted nothing since it refused {report.refused_for:.0f} seconds ago"
