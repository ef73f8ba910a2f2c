"""Delivery receipts: what GOV.UK Notify posts to us when it knows an email's fate.

Note [Which answer loses a receipt]
    Notify posts a receipt again after a connection error, a 5xx or a 429: five times, five minutes apart. Any other
    answer is the end of it. So what is wrong with us (no tokens, no database) is told with a 5xx, and what is none of
    ours with a 2xx. Receipts may come twice, late, and before the answer to the request that they are about.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django_govuk_notify_outbox import matching, reports, transitions
from django_govuk_notify_outbox.events import Source
from django_govuk_notify_outbox.models import EmailMessage, email_rows
from django_govuk_notify_outbox.outcomes import Exchange, Notification

#: Bytes. A receipt has some 400. With the longest address and a reference of 1,000 emojis, which JSON spells out with
#: 12 bytes each, it has less than this.
MAX_SIZE = 20_000

_Value = TypeVar("_Value")


class Malformed(Exception):
    """What came is no receipt. The message names the field, and never its value."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What Notify says of one email."""

    notification: Notification
    #: Blank where the notification has none.
    reference: str = field(repr=False)


def is_allowed(authorization: str, tokens: Iterable[str]) -> bool:
    """Whether an Authorization header bears one of the tokens. How long it takes tells nothing about them."""
    scheme, _, token = authorization.partition(" ")
    # A list: all of them are compared, whichever is the right one
    matches = [hmac.compare_digest(token.strip().encode(), each.encode()) for each in tokens]
    return scheme.lower() == "bearer" and any(matches)


def parse(body: bytes) -> Receipt | None:
    """The receipt that Notify posted; None when it is about a text message.

    Raises Malformed when it is no receipt.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("It is no JSON.") from None
    if _read(values, "notification_type", str) != "email":
        return None
    return Receipt(
        notification=Notification(
            id=_read(values, "id", uuid.UUID),
            status=_read(values, "status", _word),
            email_address=_read(values, "to", str),
            template_id=str(_read(values, "template_id", uuid.UUID)),
            created_at=_read(values, "created_at", _moment),
        ),
        reference=_read(values, "reference", str) if values.get("reference") is not None else "",
    )


def settle(receipt: Receipt) -> bool:
    """Record what a receipt says of the email that it is about. False: that is none of ours.

    The email is written as it was read or not at all. When somebody else was quicker, it is read again: a receipt comes
    once, and what it says may still be news.
    """
    read: object = None
    while True:
        email = _email_of(receipt)
        if email is None:
            return False
        previous, read = read, (email.pk, email.status, email.notify_id, email.attempt_started_at, email.unclear_until)
        if read == previous or _record(email, receipt.notification):
            return True


def _record(email: EmailMessage, notification: Notification) -> bool:
    if email.notify_id is None:
        return transitions.record_found_by_receipt(email, notification)
    return reports.record_report(email, notification, Exchange(), source=Source.RECEIPT)


def _email_of(receipt: Receipt) -> EmailMessage | None:
    """The email that holds the notification, or else the only one that it can belong to."""
    holders = email_rows().filter(notify_id=receipt.notification.id)
    # Twice: the answer to the request may be recorded between two looks
    return holders.first() or matching.only_owner(receipt.notification, reference=receipt.reference) or holders.first()


def _read(values: Any, name: str, convert: Callable[[str], _Value]) -> _Value:
    """One field of a receipt. Raises Malformed."""
    try:
        text = values[name]
        # Half of a surrogate pair is nothing that a database can be asked for
        text.encode()
        return convert(text)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise Malformed(f"It has no {name} that can be read.") from None


def _word(text: str) -> str:
    """A status that can be stored, known to us or not."""
    if not 0 < len(text) <= 255 or not text.isprintable():
        raise ValueError
    return text


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
