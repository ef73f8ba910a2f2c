"""The history of an email: one row, and one line in the log, for each thing that happens to it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, write_database
from django_govuk_notify_outbox.outcomes import Exchange
from django_govuk_notify_outbox.statuses import Status

logger = logging.getLogger(__name__)

Kind = EmailMessageEvent.Kind
Outcome = EmailMessageEvent.Outcome
Source = EmailMessageEvent.Source

#: What an engineer on call would want to see even when all is well with the rest.
_WARNINGS = {Outcome.TRY_LATER, Outcome.LIMITED, Outcome.UNCLEAR, Outcome.NO_ANSWER, Outcome.NOT_FOUND}
_FAILURES_AT_NOTIFY = {
    Status.NOTIFY_TEMPORARY_FAILURE,
    Status.NOTIFY_TECHNICAL_FAILURE,
    Status.NOTIFY_PERMANENT_FAILURE,
}


@dataclass(frozen=True, kw_only=True)
class News:
    """What is known of a happening, beyond what it was."""

    attempt: int | None = None
    exchange: Exchange = field(default_factory=Exchange)
    notify_status: str = ""


def write(
    email: EmailMessage,
    status: str,
    kind: Kind,
    source: Source,
    outcome: Outcome | None = None,
    news: News | None = None,
) -> EmailMessageEvent:
    """Add an event to the email's history. Call it in the transaction of the change, and ``log`` after that."""
    news = news or News()
    exchange = news.exchange
    return EmailMessageEvent.objects.using(write_database()).create(
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
        duration=exchange.duration or None,
    )


def log(event: EmailMessageEvent) -> None:
    """Write one line about the event, without anything personal: not even Notify's message, which may quote it."""
    logger.log(
        _level(event),
        "Email %s: %s, status %s",
        event.email_message_id,
        f"{event.kind} {event.outcome or event.notify_status}".rstrip(),
        event.status,
        extra={
            "email_message_pk": event.email_message_id,
            "kind": event.kind,
            "outcome": event.outcome,
            "status": event.status,
            "notify_status": event.notify_status,
            "attempt": event.attempt,
            "http_status": event.http_status,
            "error_type": event.error_type,
            "duration": event.duration,
        },
    )


def _level(event: EmailMessageEvent) -> int:
    if event.status == Status.FAILED_SEND_TO_NOTIFY or event.outcome == Outcome.ACCEPTED_AGAIN:
        return logging.ERROR
    if event.outcome in _WARNINGS or event.status in _FAILURES_AT_NOTIFY:
        return logging.WARNING
    return logging.INFO
