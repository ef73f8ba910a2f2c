"""Send one email: claim, ask or post, record.

Note [Why deliver() commits before it posts]
    The claim is committed before any HTTP, and no transaction is open during it. A worker that dies at any line
    leaves a row that says so: its lease runs out, and the attempt that it began has no outcome.

Note [Ask before sending again]
    Notify has no idempotency key: the same POST twice is two emails. So an attempt whose outcome is not known (no
    answer, an answer that can't be read, a worker that died) is *unclear*: ``unclear_until`` is set, from the claim on
    and until a clear outcome is recorded. While it is, nothing is posted and nothing is marked failed before Notify has
    been asked. That Notify does not have the email is believed only when ``unclear_until`` has passed: until then the
    request may still be under way. For how long, see Note [How long a request can be under way] in claims.py.
"""

from __future__ import annotations

import datetime as dt
import enum

from django.utils import timezone

from django_govuk_notify_outbox import claims, conf, holds, matching, notify, tracing, transitions
from django_govuk_notify_outbox.claims import Claim
from django_govuk_notify_outbox.models import EmailMessage, email_rows
from django_govuk_notify_outbox.moments import after, seconds_since
from django_govuk_notify_outbox.outcomes import (
    Accepted,
    Exchange,
    Limited,
    NoAnswer,
    NotSent,
    Refused,
    TryLater,
    Unclear,
)
from django_govuk_notify_outbox.statuses import TO_SEND


class Progress(enum.Enum):
    """Whether it makes sense to go on to the next email."""

    GO_ON = "go on"
    #: Notify's limit was met, or it does not take our key: the next email would fare no better.
    STOP = "stop"


@tracing.spanned("deliver")
def deliver(pk: int) -> Progress:
    """Take one email as far as it goes now: at most one question and one attempt. Any number may try at once.

    Does nothing when the email is gone, is not due, or is in another worker's hands.
    """
    email = email_rows().filter(pk=pk).first()
    if email is None or not _may_act(email):
        return Progress.GO_ON
    if email.unclear_until is not None:
        with tracing.span("claim", email=pk):
            claim = claims.claim_question(email)
        return Progress.GO_ON if claim is None else _ask(claim)
    if email.is_stopped or _is_too_late(email):
        transitions.abandon(email)
        return Progress.GO_ON
    with tracing.span("claim", email=pk):
        claim = claims.claim_attempt(email)
    if claim is None:
        return Progress.STOP if holds.is_sending_held() else Progress.GO_ON
    return post(claim)


def _may_act(email: EmailMessage) -> bool:
    # A new email is not due for a few seconds, which are for the task that is on its way to it
    is_due = email.due_at is not None and email.due_at <= timezone.now()
    return email.status in TO_SEND and (is_due or email.attempts == 0)


def _is_too_late(email: EmailMessage) -> bool:
    return seconds_since(email.requested_at) >= conf.abandon_after()


def _ask(claim: Claim) -> Progress:
    """Find out what became of the unclear attempt; post only when Notify certainly does not have the email."""
    email = claim.email
    # What was under way when Notify was asked may have arrived by the time of its answer, which may take long
    asked_at = timezone.now()
    since = matching.since_attempt(claim.attempt_started_at)
    with tracing.request("ask", email=email.pk, attempt=claim.attempt) as request:
        answer = notify.find(email.reference, since=since)
        request.answered(answer)
    if isinstance(answer, NoAnswer):
        transitions.record_no_answer(claim, answer.exchange)
        return Progress.GO_ON
    free = matching.free_for(email, answer.notifications, since=since)
    others = matching.unclear_others(email)
    match = matching.share_of(email, others, free)
    # Where others may claim what is there, whose it is stays open until none of them has anything under way
    undecided = [email, *others] if free else [email]
    open_until = max((each.unclear_until for each in undecided if each.unclear_until), default=asked_at)
    if open_until > asked_at and (others or match is None):
        transitions.record_not_found_yet(claim, answer.exchange, ask_again_at=_next_question(claim, open_until))
    elif match is not None:
        transitions.record_found(claim, match, answer.exchange)
    elif email.is_stopped or conf.retry_interval(claim.attempt) is None or _is_too_late(email):
        transitions.record_given_up(claim, answer.exchange)
    else:
        return _post_again(claim, answer.exchange)
    return Progress.GO_ON


def _post_again(claim: Claim, exchange: Exchange) -> Progress:
    with tracing.span("claim", email=claim.email.pk):
        new_claim = transitions.claim_new_attempt(claim, exchange)
    if new_claim is not None:
        return post(new_claim)
    if not holds.is_sending_held():
        return Progress.GO_ON
    ask_again_at = after(holds.SENDING_HOLD)
    transitions.record_not_found_yet(claim, exchange, ask_again_at=ask_again_at)
    return Progress.STOP


def _next_question(claim: Claim, open_until: dt.datetime) -> dt.datetime:
    """When the attempt's lease is over, for what arrives late has mostly arrived by then; else at the very end."""
    lease_over = claim.attempt_started_at + dt.timedelta(seconds=claims.lease_seconds())
    return lease_over if timezone.now() < lease_over < open_until else open_until


def post(claim: Claim) -> Progress:
    """Post the email, once, and record what came of it."""
    with tracing.request("post", email=claim.email.pk, attempt=claim.attempt) as request:
        outcome = notify.send(claim.email.payload(), may_post=claim.may_post)
        request.answered(outcome)
    exchange = outcome.exchange
    match outcome:
        case Accepted(notify_id=notify_id, subject=subject):
            transitions.record_accepted(claim, notify_id, exchange, subject)
        case Refused():
            transitions.record_refused(claim, exchange)
        case Unclear(finished=finished):
            transitions.record_unclear(claim, exchange, finished=finished)
        case Limited():
            transitions.record_limited(claim, exchange, until=holds.hold_sending())
            return Progress.STOP
        case NotSent():
            transitions.record_not_sent(claim, exchange)
        case TryLater(everybody_waits=everybody_waits):  # pragma: no branch  # there is no other outcome
            if everybody_waits:
                holds.hold_sending()
            transitions.record_try_later(claim, exchange)
            # A wrong clock is this host's alone: it has no more to send for now, and the others go on
            return Progress.STOP if everybody_waits or exchange.http_status == 403 else Progress.GO_ON
    return Progress.GO_ON
