"""``manage.py govuk_notify_outbox_stop``: stop emails from being sent."""

from __future__ import annotations

from django_govuk_notify_outbox.management.operating import OperationCommand
from django_govuk_notify_outbox.operations import Operation


class Command(OperationCommand):
    """Ends with exit status 0 if it was done to every email, else with 1."""

    help = (
        "Stop emails from being sent, if Notify does not have them yet. The exit status is 1 if an email was skipped."
    )
    operation = Operation.STOP
