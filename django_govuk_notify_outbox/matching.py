"""Which of the notifications that Notify has came from an attempt whose answer was lost.

A reference that the library made belongs to one email. A caller's may stand for a whole batch, and two emails of a
batch may go to the same address. So the address, the template and the time must fit, no other email may hold the
notification, and of several emails that it may belong to it is the one whose personalisation the recipient can see in
it. Where that does not tell them apart, the recipient could not either.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from django_govuk_notify_outbox.models import EmailMessage, email_rows, normalise_address
from django_govuk_notify_outbox.outcomes import Notification


def unclear_others(email: EmailMessage) -> list[EmailMessage]:
    """Other emails like this one that a notification may belong to, since their own attempts are unclear too.

    Ask this before ``choose``: an email that is settled between the two then holds its notification in the second.
    """
    rows = email_rows().to_send().with_reference(email.reference).with_address(email.email_address)
    template_id = _canonical(email.template_id)
    others = rows.exclude(pk=email.pk).filter(unclear_until__isnull=False)
    return [other for other in others if _canonical(other.template_id) == template_id]


def choose(
    email: EmailMessage,
    notifications: Sequence[Notification],
    *,
    others: Sequence[EmailMessage],
    since: dt.datetime,
) -> Notification | None:
    """The oldest notification that fits the email, is nobody's, and is not rather one of the others'."""
    address, template_id = normalise_address(email.email_address), _canonical(email.template_id)
    candidates = [
        notification
        for notification in notifications
        if normalise_address(notification.email_address) == address
        and notification.template_id == template_id
        and notification.created_at >= since
    ]
    ids = [notification.id for notification in candidates]
    held = set(email_rows().filter(notify_id__in=ids).values_list("notify_id", flat=True)) if ids else set()
    for notification in candidates:
        likeness = _likeness(email, notification)
        if notification.id not in held and all(_likeness(other, notification) <= likeness for other in others):
            return notification
    return None


def _likeness(email: EmailMessage, notification: Notification) -> int:
    """How much of the email's personalisation can be seen in the notification, in characters."""
    return sum(len(value) for value in set(_values(email.personalisation)) if value in notification.text)


def _values(personalisation: Any) -> Iterator[str]:
    if isinstance(personalisation, dict):
        for value in personalisation.values():
            yield from _values(value)
    elif isinstance(personalisation, list):
        for value in personalisation:
            yield from _values(value)
    else:
        yield str(personalisation)


def _canonical(template_id: str) -> str:
    """A template's id as Notify writes it: it also takes one in capitals, in braces or without hyphens."""
    try:
        return str(uuid.UUID(template_id))
    except ValueError:
        return template_id
