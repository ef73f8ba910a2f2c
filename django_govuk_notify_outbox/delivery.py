"""Send one email: claim, ask or post, record.

Note [Why deliver() commits before it posts]
    The claim is committed before any HTTP, and no transaction is open during it. A worker that dies at any line
    leaves a row that says so: its lease runs out, and the attempt that it began has no outcome.

Note [Ask before sending again]
    Notify has no idempotency key: the same POST twice is two emails. So an attempt whose outcome is not known (no
    answer, an answer that can't be read, a worker that died) is *unclear*: ``unclear_until`` is set, from the claim on
    and until a clear outcome is recorded. While it is, nothing is posted and nothing is marked failed before Notify has
    been asked. That Notify does not have the email is believed only when ``unclear_until`` has passed: until then the
    request may still be under way.
"""

from __future__ import annotations

import datetime as dt
import enum

from django.utils import timezone

from django_govuk_notify_outbox import conf, holds, matching, notify, transitions
from django_govuk_notify_outbox.models import EmailMessage, email_rows
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Exchange,
    Limited,
    NoAnswer,
    Refused,
    TryLater,
    Unclear,
)
from django_govuk_notify_outbox.statuses import TO_SEND
from django_govuk_notify_outbox.transitions import Claim

#: Seconds by which Notify's clock may be behind ours. (It refuses keys signed by clocks over 30 seconds off.)
CLOCK_TOLERANCE = 60.0


class Progress(enum.Enum):
    """Whether it makes sense to go on to the next email."""

    GO_ON = "go on"
    #: Notify's limit was met, or it does not take our key: the next email would fare no better.
    STOP = "stop"


def deliver(pk: int) -> Progress:
    """Take one email as far as it goes now: at most one question and one attempt. Any number may try at once.

    Does nothing when the email is gone, is not due, or is in another worker's hands.
    """
    email = email_rows().filter(pk=pk).first()
    if email is None or not _may_act(email):
        return Progress.GO_ON
    if email.unclear_until is not None:
        claim = transitions.claim_question(email)
        return Progress.GO_ON if claim is None else _ask(claim)
    if _is_too_late(email):
        transitions.abandon(email)
        return Progress.GO_ON
    claim = transitions.claim_attempt(email)
    if claim is None:
        return Progress.STOP if holds.is_sending_held() else Progress.GO_ON
    return post(claim)


def _may_act(email: EmailMessage) -> bool:
    # A new email is not due for a few seconds, which are for the task that is on its way to it
    is_due = email.due_at is not None and email.due_at <= timezone.now()
    return email.status in TO_SEND and (is_due or email.attempts == 0)


def _is_too_late(email: EmailMessage) -> bool:
    return timezone.now() >= email.created_at + dt.timedelta(seconds=conf.abandon_after())


def _ask(claim: Claim) -> Progress:
    """Find out what became of the unclear attempt; post only when Notify certainly does not have the email."""
    email = claim.email
    # Before the question, which may take long: an email that was not there when it was asked may be there by now
    under_way_until = _until(email.unclear_until)
    since = _aware(claim.attempt_started_at) - dt.timedelta(seconds=CLOCK_TOLERANCE)
    answer = notify.find(email.reference, since=since)
    if isinstance(answer, NoAnswer):
        transitions.record_no_answer(claim, answer.exchange)
        return Progress.GO_ON
    others = matching.unclear_others(email)
    match = matching.choose(email, answer.notifications, others=others, since=since)
    ask_again_at = _until(*(other.unclear_until for other in others)) if match else under_way_until
    if ask_again_at is not None:
        transitions.record_not_found_yet(claim, answer.exchange, ask_again_at=ask_again_at)
    elif match is not None:
        transitions.record_found(claim, match, answer.exchange)
    elif conf.retry_interval(claim.attempt) is None or _is_too_late(email):
        transitions.record_given_up(claim, answer.exchange)
    else:
        return _post_again(claim, answer.exchange)
    return Progress.GO_ON


def _post_again(claim: Claim, exchange: Exchange) -> Progress:
    new_claim = transitions.claim_new_attempt(claim, exchange)
    if new_claim is not None:
        return post(new_claim)
    if not holds.is_sending_held():
        return Progress.GO_ON
    ask_again_at = timezone.now() + dt.timedelta(seconds=holds.SENDING_HOLD)
    transitions.record_not_found_yet(claim, exchange, ask_again_at=ask_again_at)
    return Progress.STOP


def _until(*moments: dt.datetime | None) -> dt.datetime | None:
    """The last of the moments that are still to come; None when there is none."""
    now = timezone.now()
    return max((moment for moment in moments if moment is not None and moment > now), default=None)


def post(claim: Claim) -> Progress:
    """Post the email, once, and record what came of it."""
    if claim.has_run_out():
        return Progress.GO_ON
    outcome = notify.send(claim.email.payload())
    exchange = outcome.exchange
    match outcome:
        case Accepted(notify_id=notify_id):
            transitions.record_accepted(claim, notify_id, exchange)
        case Refused():
            transitions.record_refused(claim, exchange)
        case Unclear(finished=finished):
            transitions.record_unclear(claim, exchange, finished=finished)
        case Limited():
            transitions.record_limited(claim, exchange, until=holds.hold_sending())
            return Progress.STOP
        case TryLater(everybody_waits=everybody_waits):  # pragma: no branch  # there is no other outcome
            if everybody_waits:
                holds.hold_sending()
            transitions.record_try_later(claim, exchange)
            return Progress.STOP if everybody_waits else Progress.GO_ON
    return Progress.GO_ON


def _aware(moment: dt.datetime) -> dt.datetime:
    """The moment with its time zone, which a project with USE_TZ = False leaves out."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
