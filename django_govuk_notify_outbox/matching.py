"""Which of the notifications that Notify has came from an attempt whose answer was lost.

A reference that the library made belongs to one email. A caller's may stand for a whole batch, and two emails of a
batch may go to the same address. So the address, the template and the time must fit, no email may hold the
notification or have held it before it was sent again, and of several emails that it may belong to it is the one whose
personalisation the recipient can see in it. Where that does not tell them apart, the recipient could not either.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from django_govuk_notify_outbox.events import formerly_held
from django_govuk_notify_outbox.models import (
    EmailMessage,
    EmailMessageQuerySet,
    email_rows,
    is_own_reference,
    normalise_address,
)
from django_govuk_notify_outbox.moments import CLOCK_TOLERANCE, aware
from django_govuk_notify_outbox.outcomes import Notification


def unclear_others(email: EmailMessage) -> list[EmailMessage]:
    """Other emails like this one that a notification may belong to, since their own attempts are unclear too.

    Ask this after ``free_for``. An email that is settled between the two is then not among the others, while what it
    holds still counts as free; if that is taken, it proves to be another's. The other way round, the email would be
    counted among those who need a notification, without the one that it has, and one of them would be sent again.
    """
    rows = _alike(email.reference, email.email_address).to_send()
    template_id = _canonical(email.template_id)
    others = rows.exclude(pk=email.pk).filter(unclear_until__isnull=False)
    return [other for other in others if _canonical(other.template_id) == template_id]


def free_for(email: EmailMessage, notifications: Sequence[Notification], *, since: dt.datetime) -> list[Notification]:
    """The notifications that fit the email and are nobody's yet, the oldest first."""
    fitting = [notification for notification in notifications if _fits(email, notification, since=since)]
    ids = [notification.id for notification in fitting]
    held = set(email_rows().filter(notify_id__in=ids).values_list("notify_id", flat=True)) if ids else set()
    # After that: what an email gives up between the two reads is in its history by the second
    held |= formerly_held(ids, _alike(email.reference, email.email_address))
    return [notification for notification in fitting if notification.id not in held]


def since_attempt(started_at: dt.datetime) -> dt.datetime:
    """The earliest moment by Notify's clock at which it can have accepted an attempt that began then by ours."""
    return aware(started_at) - dt.timedelta(seconds=CLOCK_TOLERANCE)


def only_owner(notification: Notification, *, reference: str) -> EmailMessage | None:
    """The email that a notification of nobody's must belong to; None when there is none, or more than one may be it.

    One whose last attempt is unclear may: it may be under way, too. With a reference that the library made, so may any
    other that was posted, for nothing else has that reference: whatever was believed of its attempts, Notify has it.
    """
    alike = _alike(reference, notification.email_address)
    rows = alike.filter(notify_id=None, attempt_started_at__isnull=False)
    if not is_own_reference(reference):
        rows = rows.filter(unclear_until__isnull=False)
    owners = [
        email
        for email in rows
        if email.attempt_started_at and _fits(email, notification, since=since_attempt(email.attempt_started_at))
    ]
    if len(owners) != 1 or formerly_held([notification.id], alike):
        return None
    return owners[0]


def share_of(email: EmailMessage, others: Sequence[EmailMessage], free: Sequence[Notification]) -> Notification | None:
    """The notification that falls to the email, of those that fit it and the others; None when they do not suffice."""
    return _shares([email, *others], free).get(email.pk)


def _alike(reference: str, email_address: str) -> EmailMessageQuerySet:
    """The emails that Notify may have the same notification of, by their reference and address."""
    return email_rows().with_reference(reference).with_address(email_address)


def _fits(email: EmailMessage, notification: Notification, *, since: dt.datetime) -> bool:
    return (
        normalise_address(notification.email_address) == normalise_address(email.email_address)
        and notification.template_id == _canonical(email.template_id)
        and notification.created_at >= since
    )


def _shares(emails: Sequence[EmailMessage], free: Sequence[Notification]) -> dict[int, Notification]:
    """Which email gets which notification: as many as can be, those first that are most alike.

    Whoever asks, the answer is the same. Among what is equally alike, an email gets what the others could use least,
    and the older email the older notification.
    """
    shares: dict[int, Notification] = {}
    waiting, left = sorted(emails, key=lambda email: email.pk), list(free)
    while waiting and left:
        alike = {(email.pk, each.id): _likeness(email, each) for email in waiting for each in left}
        email, notification = max(
            ((email, each) for email in waiting for each in left),
            key=lambda pair: (
                alike[pair[0].pk, pair[1].id],
                -max((alike[other.pk, pair[1].id] for other in waiting if other is not pair[0]), default=0),
            ),
        )
        shares[email.pk] = notification
        waiting.remove(email)
        left.remove(notification)
    return shares


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
