"""``manage.py govuk_notify_outbox_check``: have Notify asked about emails."""

from __future__ import annotations

from django_govuk_notify_outbox.management.operating import OperationCommand
from django_govuk_notify_outbox.operations import Operation


class Command(OperationCommand):
    """Ends with exit status 0 if it was done to every email, else with 1."""

    help = (
        "Have Notify asked at once what became of emails, or whether it has them. Sync asks within seconds. "
        "The exit status is 1 if an email was skipped."
    )
    operation = Operation.CHECK
