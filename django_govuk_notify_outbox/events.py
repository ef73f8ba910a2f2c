"""The history of an email: one row, and one line in the log, for each thing that happens to it.

Note [RETRY and RETRY FAILED]
    Lines begin with RETRY when Notify did not take an email, or did not answer, and another try follows; and with RETRY
    FAILED when none follows. GOV.UK Notify's own log has the same words, so that an alert can be set on a line's text.
    An email that Notify refused for good was not retried: its line is an error without them.
"""

from __future__ import annotations

import enum
import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from django_govuk_notify_outbox.models import (
    MAX_ID_LENGTH,
    EmailMessage,
    EmailMessageEvent,
    EmailMessageQuerySet,
    write_database,
)
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.statuses import FAILED_AT_NOTIFY, Status

logger = logging.getLogger(__name__)

Kind = EmailMessageEvent.Kind
Outcome = EmailMessageEvent.Outcome
Source = EmailMessageEvent.Source

#: After these there will be another try.
_RETRIES = {Outcome.TRY_LATER, Outcome.LIMITED, Outcome.UNCLEAR, Outcome.NO_ANSWER}
#: What an engineer on call would want to see even when all is well with the rest.
_WARNINGS = _RETRIES | {Outcome.NOT_FOUND}


#: The exception that tells of a setting that is missing or malformed.
SETTINGS_ARE_WRONG = "django.core.exceptions.ImproperlyConfigured"


class Cause(enum.StrEnum):
    """Why Notify takes no email at all, until somebody does something about it."""

    #: A host's clock is more than 30 seconds off.
    CLOCK = "clock"
    #: Notify does not take the key.
    KEY = "key"
    #: The key, or another setting, is missing or malformed: nothing was posted.
    SETTINGS = "settings"
    #: What answers at BASE_URL does not know the request.
    ADDRESS = "address"


def cause_of(outcome: str, http_status: int | None, exception: str, *, is_clock: bool) -> Cause | None:
    """What is wrong with us, if that is why an attempt failed; None when the attempt says nothing of the kind.

    ``is_clock``: Notify's message speaks of the clock.
    """
    if outcome != Outcome.TRY_LATER:
        return None
    if http_status is None:
        return Cause.SETTINGS if exception == SETTINGS_ARE_WRONG else None
    if is_clock:
        return Cause.CLOCK
    return Cause.KEY if http_status in (401, 403) else Cause.ADDRESS


@dataclass(frozen=True, kw_only=True)
class News:
    """What is known of a happening, beyond what it was."""

    attempt: int | None = None
    exchange: Exchange = field(default_factory=Exchange)
    notify_status: str = ""
    #: Who did it.
    person: str = ""
    former_notify_id: uuid.UUID | None = None


def build(
    email: EmailMessage,
    status: str,
    kind: Kind,
    source: Source,
    outcome: Outcome | None = None,
    news: News | None = None,
) -> EmailMessageEvent:
    """Make an event of the email's history, to be written in the transaction of the change."""
    news = news or News()
    exchange = news.exchange
    return EmailMessageEvent(
        email_message_id=email.pk,
        kind=kind,
        source=source,
        outcome=outcome or "",
        previous_status=email.status,
        status=status,
        attempt=news.attempt,
        notify_status=news.notify_status,
        http_status=exchange.http_status,
        error_type=exchange.error_type,
        message=exchange.message,
        exception=exchange.exception,
        traceback=exchange.traceback,
        former_notify_id=news.former_notify_id,
        person=news.person[:MAX_ID_LENGTH],
        duration=exchange.duration or None,
    )


def write(*events: EmailMessageEvent) -> None:
    """Add events to the histories of their emails, in the transaction of the changes. ``log`` them after that."""
    EmailMessageEvent.objects.using(write_database()).bulk_create(events)


def formerly_held(notify_ids: Iterable[uuid.UUID], emails: EmailMessageQuerySet) -> set[uuid.UUID]:
    """Those of the notifications that one of these emails had before a person had it sent again. They are nobody's."""
    events = EmailMessageEvent.objects.using(write_database()).filter(kind=Kind.SENT_AGAIN)
    told = events.filter(email_message__in=emails.values("pk"), former_notify_id__in=list(notify_ids))
    return {each for each in told.values_list("former_notify_id", flat=True) if each}


def log(event: EmailMessageEvent, notify_id: uuid.UUID | None) -> None:
    """Write one line about the event, without anything personal: not even Notify's message, which may quote it.

    ``notify_id`` is the notification that the event is about, as far as it is known by now.
    """
    cause = cause_of(event.outcome, event.http_status, event.exception, is_clock="clock" in event.message)
    logger.log(
        _level(event, cause),
        "%sEmail %s: %s, status %s",
        _prefix(event),
        event.email_message_id,
        f"{event.kind} {event.outcome or event.notify_status}".rstrip() + (f" ({cause})" if cause else ""),
        event.status,
        extra={
            "email_message_pk": event.email_message_id,
            "notify_id": None if notify_id is None else str(notify_id),
            "kind": event.kind,
            "outcome": event.outcome,
            "cause": cause and cause.value,
            "previous_status": event.previous_status,
            "status": event.status,
            "source": event.source,
            "notify_status": event.notify_status,
            "attempt": event.attempt,
            "http_status": event.http_status,
            "error_type": event.error_type,
            "exception": event.exception,
            "duration": event.duration,
        },
    )


def _prefix(event: EmailMessageEvent) -> str:
    """See Note [RETRY and RETRY FAILED]."""
    if event.status == Status.FAILED_SEND_TO_NOTIFY:
        return "" if event.outcome == Outcome.REFUSED or event.kind == Kind.STOPPED else "RETRY FAILED: "
    return "RETRY: " if event.outcome in _RETRIES else ""


def _level(event: EmailMessageEvent, cause: Cause | None) -> int:
    if event.kind == Kind.STOPPED:
        # As somebody wished
        return logging.INFO
    if event.status == Status.FAILED_SEND_TO_NOTIFY or event.outcome == Outcome.ACCEPTED_AGAIN or cause:
        return logging.ERROR
    if event.outcome in _WARNINGS or event.status in FAILED_AT_NOTIFY:
        return logging.WARNING
    return logging.INFO
