"""Every change of an email's status on its way to Notify: one guarded UPDATE each, which tells whether it took.

What Notify reports of emails that it has is in ``reports.py``. No other module writes ``status``; ``statuses.py``
shows which status follows which.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from django_govuk_notify_outbox import cadence, conf, signals
from django_govuk_notify_outbox.claims import Claim, as_read, begin_attempt, still_ours
from django_govuk_notify_outbox.durability import committed
from django_govuk_notify_outbox.events import Kind, News, Outcome, Source, build, formerly_held, log, write
from django_govuk_notify_outbox.models import (
    EmailMessage,
    email_rows,
)
from django_govuk_notify_outbox.moments import after, as_stored, seconds_since
from django_govuk_notify_outbox.outcomes import Exchange, Notification
from django_govuk_notify_outbox.recording import record
from django_govuk_notify_outbox.statuses import FINAL, FROM_NOTIFY, SENDABLE_AGAIN, Status

#: Seconds before Notify is asked about an unclear attempt that has no retry interval of its own.
ASK_AFTER = 5.0


# --- A new attempt ------------------------------------------------------------------------------------------------


def claim_new_attempt(claim: Claim, exchange: Exchange) -> Claim | None:
    """Turn a claim to ask into a claim to post, since Notify does not have the email. None: the claim is lost."""
    email, status = claim.email, Status.RETRYING_SEND_TO_NOTIFY
    news = News(attempt=claim.attempt, exchange=exchange)
    changed_at = email.status_changed_at if email.status == status else timezone.now()
    with committed():
        new_claim = begin_attempt(email, still_ours(claim), status=status, status_changed_at=changed_at)
        if new_claim is None:
            return None
        event = build(email, status, Kind.QUESTION, Source.LOOK_UP, Outcome.NOT_FOUND, news)
        write(event)
        signals.announce([(email.pk, email.status, status)])
    log(event, None)
    email.status = status
    return new_claim


# --- What came of an attempt --------------------------------------------------------------------------------------


def record_accepted(claim: Claim, notify_id: uuid.UUID, exchange: Exchange, subject: str = "") -> bool:
    """Record that Notify has the email, however late the news. False: the row knew, or is gone.

    That Notify has accepted it twice is an event.
    """
    changes = _at_notify(Status.SENT_TO_NOTIFY, notify_id, timezone.now(), subject)
    if _record_attempt(claim, exchange, Outcome.ACCEPTED, changes):
        return True
    # Late: another worker took over, or the row has come to an end
    email = email_rows().filter(pk=claim.email.pk).first()
    if email is None or email.notify_id == notify_id:
        return False
    if formerly_held([notify_id], email_rows().filter(pk=email.pk)):
        # The row knew, until a person had the email sent again
        return False
    unaccepted = email_rows().filter(pk=email.pk, notify_id=None)
    news = News(attempt=claim.attempt, exchange=exchange)
    if record(email, unaccepted, changes, Kind.ATTEMPT, Source.SENDING, Outcome.ACCEPTED, news):
        return True
    event = build(email, email.status, Kind.ATTEMPT, Source.SENDING, Outcome.ACCEPTED_AGAIN, news)
    write(event)
    log(event, notify_id)
    return False


def record_refused(claim: Claim, exchange: Exchange) -> bool:
    """Record that Notify refused the email for good. False: another worker owns the row now."""
    return _record_attempt(claim, exchange, Outcome.REFUSED, _failed())


def record_try_later(claim: Claim, exchange: Exchange) -> bool:
    """Record an attempt that certainly failed, and when the next is due. False: another worker owns the row now."""
    interval = conf.retry_interval(claim.attempt)
    changes = _failed() if interval is None else _to_retry(claim.email, wait=interval)
    return _record_attempt(claim, exchange, Outcome.TRY_LATER, changes)


def record_limited(claim: Claim, exchange: Exchange, *, until: dt.datetime) -> bool:
    """Record that Notify's limit was met, and give the attempt back. False: another worker owns the row now."""
    return _record_attempt(claim, exchange, Outcome.LIMITED, _given_back(claim, until))


def record_not_sent(claim: Claim, exchange: Exchange) -> bool:
    """Record that nothing was posted, and give the attempt back. False: another worker owns the row now."""
    return _record_attempt(claim, exchange, Outcome.TRY_LATER, _given_back(claim, timezone.now()))


def record_unclear(claim: Claim, exchange: Exchange, *, finished: bool) -> bool:
    """Record that Notify may have accepted the email, and when to ask. False: another worker owns the row now."""
    interval = conf.retry_interval(claim.attempt)
    wait = ASK_AFTER if interval is None else interval
    changes: dict[str, Any] = {
        "status": Status.RETRYING_SEND_TO_NOTIFY,
        "due_at": _next_try(claim.email, wait=wait, least=min(wait, ASK_AFTER)),
    }
    if finished:
        # Notify answered: nothing is under way any more, so not finding it will mean that it isn't there
        changes["unclear_until"] = timezone.now()
    return _record_attempt(claim, exchange, Outcome.UNCLEAR, changes)


# --- What came of a question --------------------------------------------------------------------------------------


def record_found(claim: Claim, notification: Notification, exchange: Exchange) -> bool:
    """Record that Notify has the email of the unclear attempt. False: another worker or email was quicker."""
    status = FROM_NOTIFY.get(notification.status, Status.SENT_TO_NOTIFY)
    changes = _at_notify(status, notification.id, _accepted_at(claim.email, notification), notification.subject)
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
    """Give up an email, as it was read, that was stopped or whose time has run out. False: it has changed since."""
    return record(email, as_read(email), _failed(), Kind.STOPPED if email.is_stopped else Kind.ABANDONED, Source.CLOCK)


def record_found_by_receipt(email: EmailMessage, notification: Notification) -> bool:
    """Record that Notify has an email, as it was read, whose answer was lost or is on its way. False: it has changed.

    Whoever is at the email meanwhile has lost their claim: they record nothing and post nothing.
    """
    rows = email_rows().filter(
        pk=email.pk,
        notify_id=None,
        status=email.status,
        attempt_started_at=email.attempt_started_at,
        unclear_until__isnull=email.unclear_until is None,
    )
    status = FROM_NOTIFY.get(notification.status, Status.SENT_TO_NOTIFY)
    changes = _at_notify(status, notification.id, _accepted_at(email, notification), notification.subject)
    news = News(attempt=email.attempts, notify_status=notification.status)
    try:
        return record(email, rows, changes, Kind.REPORT, Source.RECEIPT, Outcome.FOUND, news)
    except IntegrityError:
        # Another email has just taken the notification
        return False


# --- What a person wants -----------------------------------------------------------------------------------------


def start_anew(email: EmailMessage, person: str) -> bool:
    """Have an email, as it was read, sent anew, with all its retries and time. False: it has changed since.

    Notify does not have it, or has given it up for a reason that may pass.
    """
    now = timezone.now()
    changes = {
        "status": Status.SENDING_TO_NOTIFY,
        "due_at": now,
        "requested_at": now,
        "is_stopped": False,
        # What is left of the last time could be taken for something of the next
        "attempts": 0,
        "attempt_started_at": None,
        "unclear_until": None,
        "notify_id": None,
        "sent_at": None,
    }
    news = News(person=person, former_notify_id=email.notify_id)
    rows = email_rows().filter(pk=email.pk, status=email.status, requested_at=email.requested_at)
    rows = rows.filter(status__in=sorted(SENDABLE_AGAIN))
    return record(email, rows, changes, Kind.SENT_AGAIN, Source.PERSON, None, news)


def bring_forward(email: EmailMessage, kind: Kind, person: str) -> bool:
    """Take an email's next step, as it was read, at once. False: it has changed since.

    One that is to be sent again is not stopped any more, and its time begins anew.
    """
    now = timezone.now()
    changes: dict[str, Any] = {"due_at": min(email.due_at or now, now)}
    if kind == Kind.SENT_AGAIN:
        # Also where it is overdue: whoever read it while it was stopped, or too late, must not give it up
        changes = {"due_at": now, "requested_at": now, "is_stopped": False}
    rows = email_rows().filter(pk=email.pk, due_at=email.due_at, attempts=email.attempts, status=email.status)
    rows = rows.filter(is_stopped=email.is_stopped)
    rows = rows.exclude(status__in=sorted(FINAL))
    return record(email, rows, changes, kind, Source.PERSON, None, News(person=person))


def stop(email: EmailMessage, person: str) -> bool:
    """Let no further attempt to send an email, as it was read, begin. False: it has changed since.

    If it may be at Notify already, it has failed only once Notify was asked.
    """
    changes: dict[str, Any] = {"is_stopped": True}
    if email.unclear_until is None:
        changes |= _failed()
    return record(email, as_read(email), changes, Kind.STOPPED, Source.PERSON, None, News(person=person))


# --- How ----------------------------------------------------------------------------------------------------------


def _failed() -> dict[str, Any]:
    return {"status": Status.FAILED_SEND_TO_NOTIFY, "due_at": None, "unclear_until": None}


def _given_back(claim: Claim, due_at: dt.datetime) -> dict[str, Any]:
    return {"due_at": due_at, "unclear_until": None, "attempts": claim.attempt - 1}


def _to_retry(email: EmailMessage, *, wait: float) -> dict[str, Any]:
    due_at = _next_try(email, wait=wait, least=0.0)
    return {"status": Status.RETRYING_SEND_TO_NOTIFY, "due_at": due_at, "unclear_until": None}


def _next_try(email: EmailMessage, *, wait: float, least: float) -> dt.datetime:
    """After the wait, or when the email's time runs out if that is sooner: to be given up then and not later."""
    return after(max(min(wait, conf.abandon_after() - seconds_since(email.requested_at)), least))


def _accepted_at(email: EmailMessage, notification: Notification) -> dt.datetime:
    """When Notify took an email that turned out to be there, which may be long ago: its place in Notify's list.

    That is told by Notify's clock, so it is kept within what ours says.
    """
    began_at = email.attempt_started_at or email.created_at
    return min(max(as_stored(notification.created_at), began_at), timezone.now())


def _at_notify(status: Status, notify_id: uuid.UUID, accepted_at: dt.datetime, subject: str) -> dict[str, Any]:
    now = timezone.now()
    next_look = cadence.next_look(accepted_at=now, now=now, receipts=conf.has_receipts())
    return {
        "status": status,
        "notify_id": notify_id,
        "subject": subject,
        "sent_at": accepted_at,
        "due_at": None if status in FINAL else next_look,
        "unclear_until": None,
    }


def _record_attempt(claim: Claim, exchange: Exchange, outcome: Outcome, changes: dict[str, Any]) -> bool:
    news = News(attempt=claim.attempt, exchange=exchange)
    return record(claim.email, still_ours(claim), changes, Kind.ATTEMPT, Source.SENDING, outcome, news)


def _record_question(
    claim: Claim, exchange: Exchange, outcome: Outcome, changes: dict[str, Any], *, notify_status: str = ""
) -> bool:
    news = News(attempt=claim.attempt, exchange=exchange, notify_status=notify_status)
    return record(claim.email, still_ours(claim), changes, Kind.QUESTION, Source.LOOK_UP, outcome, news)
