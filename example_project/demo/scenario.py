"""What the demo sends, and what should become of it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.sandbox.defaults import APPOINTMENT_TEMPLATE_ID
from django_govuk_notify_outbox.utils import send_email_notification

Status = EmailMessage.Status

#: Every email of every demo has a reference that begins like this.
REFERENCE_PREFIX = "demo-"

ROLLED_BACK = "rolled back"
ROLLED_BACK_ADDRESS = "nobody@example.com"

_PERSONALISATION = {
    "name": "Amala",
    "date": "Tuesday 24 November 2026",
    "time": "9:30am",
    "place": "Market Street register office",
    "reference": "RO-7K3M-XQ4T",
}


@dataclass(frozen=True)
class Case:
    """One email: what is particular about it, and its end."""

    label: str
    email_address: str
    expected: str
    #: Whether Notify takes it, whatever happens afterwards
    accepted: bool = True
    #: How many of its first attempts meet an error
    errors: int = 0
    #: A placeholder of the template that is left without a value
    forgotten: str = ""


CASES = (
    Case("delivered", "amala@example.com", Status.NOTIFY_DELIVERED),
    Case("bounced", "perm-fail@simulator.notify", Status.NOTIFY_PERMANENT_FAILURE),
    Case("mailbox full", "temp-fail@simulator.notify", Status.NOTIFY_TEMPORARY_FAILURE),
    Case("refused", "bethan@example.com", Status.FAILED_SEND_TO_NOTIFY, accepted=False, forgotten="date"),
    Case("retried", "carys@example.com", Status.NOTIFY_DELIVERED, errors=2),
)


def prepare(sandbox: Sandbox) -> None:
    """Have the sandbox fail where a case wants it to."""
    for case in CASES:
        if case.errors:
            sandbox.add_fault(times=case.errors, email_address=case.email_address, status=500)


def send_all(run: str) -> dict[int, Case]:
    """Save the emails of all cases in one transaction; the cases by the emails' keys."""
    with transaction.atomic():
        return {_send(run, case).pk: case for case in CASES}


def send_and_roll_back(run: str) -> None:
    """Save one more email in a transaction that then fails."""
    try:
        with transaction.atomic():
            _send(run, Case(ROLLED_BACK, ROLLED_BACK_ADDRESS, expected=""))
            raise _SomethingElseFailed
    except _SomethingElseFailed:
        pass


class _SomethingElseFailed(Exception):
    pass


def _send(run: str, case: Case) -> EmailMessage:
    return send_email_notification(
        email_address=case.email_address,
        template_id=APPOINTMENT_TEMPLATE_ID,
        personalisation={key: value for key, value in _PERSONALISATION.items() if key != case.forgotten},
        reference=reference(run, case.label),
    )


def reference(run: str, label: str) -> str:
    """The reference of one email of one run."""
    return f"{REFERENCE_PREFIX}{run}-{label.replace(' ', '-')}"
