"""Every change of an email's status: one guarded UPDATE each, which tells whether it took, with its event.

No other module writes ``status``; ``statuses.py`` shows which status follows which.

Note [One column says what is due]
    ``due_at`` is when a row next needs attention, to be sent or to be looked up; NULL when nothing is left to do. A
    worker claims a row by moving that same column to the end of a lease, on the condition that the row is as it was
    read. If the worker dies, the lease runs out and the row is due again: there is no separate rescue. The result is
    written on the condition that ``due_at`` is still the claim's own, so a worker that comes back late, after another
    took over, changes nothing. An acceptance is the exception: Notify has the email, and the row must say so.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from django_govuk_notify_outbox import cadence, conf, holds
from django_govuk_notify_outbox.events import Kind, News, Outcome, Source, log, write
from django_govuk_notify_outbox.models import (
    EmailMessage,
    EmailMessageEvent,
    EmailMessageQuerySet,
    email_rows,
    write_database,
)
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.statuses import FINAL, FROM_NOTIFY, Status, is_forward

#: Seconds before Notify is asked about an unclear attempt that has no retry interval of its own.
ASK_AFTER = 5.0
#: Seconds that a lease lasts beyond the slowest request, for the statements around it.
LEASE_MARGIN = 10.0


@dataclass(frozen=True)
class Claim:
    """The right to act on one email until ``lease_until``."""

    email: EmailMessage
    lease_until: dt.datetime
    attempt: int
    #: When the attempt began that this claim is for, or asks about.
    attempt_started_at: dt.datetime

    def has_run_out(self) -> bool:
        """Whether another worker may have taken over: this one was held up for longer than its lease."""
        return timezone.now() >= self.lease_until


# --- Claims -------------------------------------------------------------------------------------------------------


def claim_attempt(email: EmailMessage) -> Claim | None:
    """Claim an email, as it was read, to post it. None: it has changed since, or sending is held.

    From now until its outcome is recorded the attempt is unclear, so a worker that dies leaves the row in that state.
    """
    return _begin_attempt(email, _as_read(email))


def claim_question(email: EmailMessage) -> Claim | None:
    """Claim an email, as it was read, to ask about its unclear attempt. None: it has changed since."""
    lease_until = _lease_from(timezone.now())
    if not _as_read(email).update(due_at=lease_until):
        return None
    return Claim(email, lease_until, email.attempts, email.attempt_started_at or email.created_at)


def claim_new_attempt(claim: Claim, exchange: Exchange) -> Claim | None:
    """Turn a claim to ask into a claim to post, since Notify does not have the email. None: the claim is lost."""
    email, status = claim.email, Status.RETRYING_SEND_TO_NOTIFY
    news = News(attempt=claim.attempt, exchange=exchange)
    changed_at = email.status_changed_at if email.status == status else timezone.now()
    with transaction.atomic(using=write_database()):
        new_claim = _begin_attempt(email, _still_ours(claim), status=status, status_changed_at=changed_at)
        if new_claim is None:
            return None
        event = write(email, status, Kind.QUESTION, Source.LOOK_UP, Outcome.NOT_FOUND, news)
    log(event)
    email.status = status
    return new_claim


def _begin_attempt(email: EmailMessage, rows: EmailMessageQuerySet, **changes: Any) -> Claim | None:
    now = timezone.now()
    lease_until = _lease_from(now)
    took = rows.exclude(holds.sending_held(now)).update(
        due_at=lease_until,
        attempts=F("attempts") + 1,
        attempt_started_at=now,
        unclear_until=now + dt.timedelta(seconds=2 * conf.timeout()),
        **changes,
    )
    return Claim(email, lease_until, email.attempts + 1, now) if took else None


def _lease_from(now: dt.datetime) -> dt.datetime:
    # The timeout holds for connecting and for the answer, each
    return now + dt.timedelta(seconds=2 * conf.timeout() + LEASE_MARGIN)


# --- What came of an attempt --------------------------------------------------------------------------------------


def record_accepted(claim: Claim, notify_id: uuid.UUID, exchange: Exchange) -> bool:
    """Record that Notify has the email, however late the news. False: the row knew, or is gone.

    That Notify has accepted it twice is an event.
    """
    changes = _at_notify(Status.SENT_TO_NOTIFY, notify_id, timezone.now())
    if _record_attempt(claim, exchange, Outcome.ACCEPTED, changes):
        return True
    # Late: another worker took over, or the row has come to an end
    email = email_rows().filter(pk=claim.email.pk).first()
    if email is None or email.notify_id == notify_id:
        return False
    unaccepted = email_rows().filter(pk=email.pk, notify_id=None)
    news = News(attempt=claim.attempt, exchange=exchange)
    if _record(email, unaccepted, changes, Kind.ATTEMPT, Source.SENDING, Outcome.ACCEPTED, news):
        return True
    log(write(email, email.status, Kind.ATTEMPT, Source.SENDING, Outcome.ACCEPTED_AGAIN, news))
    return False


def record_refused(claim: Claim, exchange: Exchange) -> bool:
    """Record that Notify refused the email for good. False: another worker owns the row now."""
    return _record_attempt(claim, exchange, Outcome.REFUSED, _failed())


def record_try_later(claim: Claim, exchange: Exchange) -> bool:
    """Record an attempt that certainly failed, and when the next is due. False: another worker owns the row now."""
    interval = conf.retry_interval(claim.attempt)
    changes = _failed() if interval is None else _to_retry(claim.email, after=interval)
    return _record_attempt(claim, exchange, Outcome.TRY_LATER, changes)


def record_limited(claim: Claim, exchange: Exchange, *, until: dt.datetime) -> bool:
    """Record that Notify's limit was met, and give the attempt back. False: another worker owns the row now."""
    changes = {"due_at": until, "unclear_until": None, "attempts": claim.attempt - 1}
    return _record_attempt(claim, exchange, Outcome.LIMITED, changes)


def record_unclear(claim: Claim, exchange: Exchange, *, finished: bool) -> bool:
    """Record that Notify may have accepted the email, and when to ask. False: another worker owns the row now."""
    now = timezone.now()
    interval = conf.retry_interval(claim.attempt)
    changes: dict[str, Any] = {
        "status": Status.RETRYING_SEND_TO_NOTIFY,
        "due_at": now + dt.timedelta(seconds=ASK_AFTER if interval is None else interval),
    }
    if finished:
        # Notify answered: nothing is under way any more, so not finding it will mean that it isn't there
        changes["unclear_until"] = now
    return _record_attempt(claim, exchange, Outcome.UNCLEAR, changes)


# --- What came of a question --------------------------------------------------------------------------------------


def record_found(claim: Claim, notification: Notification, exchange: Exchange) -> bool:
    """Record that Notify has the email of the unclear attempt. False: another worker or email was quicker."""
    status = FROM_NOTIFY.get(notification.status, Status.SENT_TO_NOTIFY)
    changes = _at_notify(status, notification.id, timezone.now())
    try:
        return _record_question(claim, exchange, Outcome.FOUND, changes, notify_status=notification.status)
    except IntegrityError:
        # Another email with the same reference has just taken the notification. Ask again when the lease is over
        return False


def record_not_found_yet(claim: Claim, exchange: Exchange, *, ask_again_at: dt.datetime) -> bool:
    """Record that it is too early to believe that Notify does not have it. False: another worker owns the row now."""
    return _record_question(claim, exchange, Outcome.NOT_FOUND_YET, {"due_at": ask_again_at})


def record_no_answer(claim: Claim, exchange: Exchange) -> bool:
    """Record that Notify did not answer: the attempt stays unclear. False: another worker owns the row now."""
    changes = {"due_at": cadence.next_question(attempt_started_at=claim.attempt_started_at, now=timezone.now())}
    return _record_question(claim, exchange, Outcome.NO_ANSWER, changes)


def record_given_up(claim: Claim, exchange: Exchange) -> bool:
    """Record that the last attempt failed after all. False: another worker owns the row now."""
    return _record_question(claim, exchange, Outcome.NOT_FOUND, _failed())


def abandon(email: EmailMessage) -> bool:
    """Stop trying to send an email, as it was read, whose time has run out. False: it has changed since."""
    return _record(email, _as_read(email), _failed(), Kind.ABANDONED, Source.CLOCK)


# --- What Notify reports of an email that it has -----------------------------------------------------------------


def schedule_next_look(email: EmailMessage) -> bool:
    """Claim an email, as it was read, to be looked up, by moving it to its next look. False: it has changed since."""
    now = timezone.now()
    next_look = cadence.next_look(accepted_at=email.sent_at or email.created_at, now=now)
    rows = email_rows().filter(pk=email.pk, due_at=email.due_at, status=email.status).to_track()
    return rows.update(due_at=next_look) == 1


def record_report(email: EmailMessage, notification: Notification, exchange: Exchange) -> bool:
    """Record the status that Notify reports, if it is a step forward. False: it changed nothing."""
    news = News(notify_status=notification.status, exchange=exchange)
    status = FROM_NOTIFY.get(notification.status)
    if status is None:
        _keep_unknown_status(email, news)
        return False
    if not is_forward(email.status, status):
        return False
    changes: dict[str, Any] = {"status": status}
    if status in FINAL:
        changes["due_at"] = None
    rows = email_rows().filter(pk=email.pk, status=email.status)
    return _record(email, rows, changes, Kind.REPORT, Source.LOOK_UP, None, news)


def _keep_unknown_status(email: EmailMessage, news: News) -> None:
    """Keep a status that Notify has added since this was written, once."""
    known = EmailMessageEvent.objects.using(write_database()).filter(
        email_message_id=email.pk, notify_status=news.notify_status
    )
    if not known.exists():
        log(write(email, email.status, Kind.REPORT, Source.LOOK_UP, None, news))


# --- How ----------------------------------------------------------------------------------------------------------


def _as_read(email: EmailMessage) -> EmailMessageQuerySet:
    """The row, if nobody has claimed or changed it since it was read."""
    return email_rows().filter(pk=email.pk, due_at=email.due_at, attempts=email.attempts, status=email.status).to_send()


def _still_ours(claim: Claim) -> EmailMessageQuerySet:
    """The row, if no other worker took it over after the claim's lease ran out."""
    return email_rows().filter(pk=claim.email.pk, due_at=claim.lease_until, attempts=claim.attempt).to_send()


def _failed() -> dict[str, Any]:
    return {"status": Status.FAILED_SEND_TO_NOTIFY, "due_at": None, "unclear_until": None}


def _to_retry(email: EmailMessage, *, after: float) -> dict[str, Any]:
    """Due after the interval, or when its time runs out if that is sooner, to be abandoned then and not later."""
    deadline = email.created_at + dt.timedelta(seconds=conf.abandon_after())
    due_at = min(timezone.now() + dt.timedelta(seconds=after), deadline)
    return {"status": Status.RETRYING_SEND_TO_NOTIFY, "due_at": due_at, "unclear_until": None}


def _at_notify(status: Status, notify_id: uuid.UUID, now: dt.datetime) -> dict[str, Any]:
    return {
        "status": status,
        "notify_id": notify_id,
        "sent_at": now,
        "due_at": None if status in FINAL else cadence.next_look(accepted_at=now, now=now),
        "unclear_until": None,
    }


def _record_attempt(claim: Claim, exchange: Exchange, outcome: Outcome, changes: dict[str, Any]) -> bool:
    news = News(attempt=claim.attempt, exchange=exchange)
    return _record(claim.email, _still_ours(claim), changes, Kind.ATTEMPT, Source.SENDING, outcome, news)


def _record_question(
    claim: Claim, exchange: Exchange, outcome: Outcome, changes: dict[str, Any], *, notify_status: str = ""
) -> bool:
    news = News(attempt=claim.attempt, exchange=exchange, notify_status=notify_status)
    return _record(claim.email, _still_ours(claim), changes, Kind.QUESTION, Source.LOOK_UP, outcome, news)


def _record(
    email: EmailMessage,
    rows: EmailMessageQuerySet,
    changes: dict[str, Any],
    kind: Kind,
    source: Source,
    outcome: Outcome | None = None,
    news: News | None = None,
) -> bool:
    """Change the row and write the event of it, both or neither. False: the row was not as ``rows`` demands."""
    status = changes.get("status", email.status)
    if status != email.status:
        changes = {**changes, "status_changed_at": timezone.now()}
    with transaction.atomic(using=rows.db):
        if not rows.update(**changes):
            return False
        event = write(email, status, kind, source, outcome, news)
    log(event)
    return True
