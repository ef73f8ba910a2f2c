"""``manage.py govuk_notify_outbox_send_again``: send emails again that failed, each if Notify does not have it."""

from __future__ import annotations

from django_govuk_notify_outbox.management.operating import OperationCommand
from django_govuk_notify_outbox.operations import Operation


class Command(OperationCommand):
    """Ends with exit status 0 if it was done to every email, else with 1."""

    help = (
        "Send emails again that failed, or at once if they wait for a retry. What Notify may have, it is asked about "
        "first. What it has is skipped. "
        "The exit status is 1 if an email was skipped."
    )
    operation = Operation.SEND_AGAIN
