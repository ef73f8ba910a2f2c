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
import uuid

from django.db.models import Max
from django.utils import timezone

from django_govuk_notify_outbox import conf, holds, notify, transitions
from django_govuk_notify_outbox.models import EmailMessage, email_rows, normalise_address
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Found,
    Limited,
    NoAnswer,
    Notification,
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
    since = _aware(claim.attempt_started_at) - dt.timedelta(seconds=CLOCK_TOLERANCE)
    answer = notify.find(email.reference, since=since)
    if isinstance(answer, NoAnswer):
        transitions.record_no_answer(claim, answer.exchange)
        return Progress.GO_ON
    # In this order: one that is under way no more by the time of the first line is among those held in the second
    others_until = _others_under_way(email)
    match = _match(email, answer, since=since)
    ask_again_at = others_until if match else _under_way(email)
    if ask_again_at is not None:
        transitions.record_not_found_yet(claim, answer.exchange, ask_again_at=ask_again_at)
    elif match is not None:
        transitions.record_found(claim, match, answer.exchange)
    elif conf.retry_interval(claim.attempt) is None or _is_too_late(email):
        transitions.record_given_up(claim, answer.exchange)
    else:
        new_claim = transitions.claim_new_attempt(claim, answer.exchange)
        return Progress.GO_ON if new_claim is None else post(new_claim)
    return Progress.GO_ON


def _match(email: EmailMessage, answer: Found, *, since: dt.datetime) -> Notification | None:
    """The oldest notification that can only have come from the unclear attempt.

    A caller's reference may stand for a whole batch, so the address and template must be the email's, the time must
    fit, and no other email may hold it.
    """
    address, template_id = normalise_address(email.email_address), _canonical_id(email.template_id)
    candidates = [
        notification
        for notification in answer.notifications
        if normalise_address(notification.email_address) == address
        and notification.template_id == template_id
        and notification.created_at >= since
    ]
    ids = [notification.id for notification in candidates]
    held = set(email_rows().filter(notify_id__in=ids).values_list("notify_id", flat=True)) if ids else set()
    return next((notification for notification in candidates if notification.id not in held), None)


def _under_way(email: EmailMessage) -> dt.datetime | None:
    """Until when the email's own request may still reach Notify; None when it can't any more."""
    until = email.unclear_until
    return until if until is not None and until > timezone.now() else None


def _others_under_way(email: EmailMessage) -> dt.datetime | None:
    """Until when a notification like this email's may belong to another one, whose own answer is still to come."""
    others = email_rows().to_send().with_reference(email.reference).with_address(email.email_address)
    under_way = others.exclude(pk=email.pk).filter(unclear_until__gt=timezone.now())
    until: dt.datetime | None = under_way.aggregate(until=Max("unclear_until"))["until"]
    return until


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


def _canonical_id(template_id: str) -> str:
    """A template's id as Notify writes it: it also takes one in capitals, in braces or without hyphens."""
    try:
        return str(uuid.UUID(template_id))
    except ValueError:
        return template_id


def _aware(moment: dt.datetime) -> dt.datetime:
    """The moment with its time zone, which a project with USE_TZ = False leaves out."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
