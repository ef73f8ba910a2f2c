"""The right to act on one email for a while: taken and committed before Notify hears of it, and lost with time.

Note [One column says what is due]
    ``due_at`` is when a row next needs attention, to be sent or to be looked up; NULL when nothing is left to do. A
    worker claims a row by moving that same column to the end of a lease, on the condition that the row is as it was
    read. If the worker dies, the lease runs out and the row is due again: there is no separate rescue. The result is
    written on the condition that ``due_at`` is still the claim's own, so a worker that comes back late, after another
    took over, changes nothing. An acceptance is the exception: Notify has the email, and the row must say so.

Note [How long a request can be under way]
    An attempt is posted within MARGIN of its claim or not at all. The worker looks at its clocks right before, when the
    token is made that Notify lets the request in by. A worker that stands still after that look is stopped by Notify,
    which refuses tokens older than 30 seconds. Then Notify has TIMEOUT to connect and TIMEOUT to answer. So a lease
    lasts MARGIN and twice TIMEOUT.

    That Notify does not have the email is believed only two more TIMEOUTs later. By so much the clock of the one who
    claimed may differ from the clock of the one who asks. By default that is a minute. It cannot be more, for Notify
    refuses hosts whose clocks are more than 30 seconds off.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F
from django.utils import timezone

from django_govuk_notify_outbox import conf, holds
from django_govuk_notify_outbox.durability import committed
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet, email_rows
from django_govuk_notify_outbox.moments import after

#: Seconds for what stands between a claim and its request.
MARGIN = 10.0


@dataclass(frozen=True)
class Claim:
    """The right to act on one email until ``lease_until``."""

    email: EmailMessage
    lease_until: dt.datetime
    attempt: int
    #: When the attempt began that this claim is for, or asks about.
    attempt_started_at: dt.datetime
    _taken: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108  # for clocks that tests replace

    def may_post(self) -> bool:
        """Whether it is still so soon after the claim that the attempt may begin.

        Two clocks must agree: one may have been set back, and the other stands still while a machine is suspended.
        """
        until = self.attempt_started_at + dt.timedelta(seconds=MARGIN)
        return time.monotonic() - self._taken < MARGIN and timezone.now() < until


def lease_seconds() -> float:
    """How long a claim lasts."""
    return MARGIN + 2 * conf.timeout()


def unclear_seconds() -> float:
    """How long after the beginning of an attempt it is not believed that Notify does not have the email."""
    return MARGIN + 4 * conf.timeout()


def claim_attempt(email: EmailMessage) -> Claim | None:
    """Claim an email, as it was read, to post it. None: it has changed since, or sending is held.

    From now until its outcome is recorded the attempt is unclear, so a worker that dies leaves the row in that state.
    """
    with committed():
        return begin_attempt(email, as_read(email))


def claim_question(email: EmailMessage) -> Claim | None:
    """Claim an email, as it was read, to ask about its unclear attempt. None: it has changed since."""
    lease_until = after(lease_seconds())
    with committed():
        if not as_read(email).update(due_at=lease_until):
            return None
    return Claim(email, lease_until, email.attempts, email.attempt_started_at or email.created_at)


def begin_attempt(email: EmailMessage, rows: EmailMessageQuerySet, **changes: Any) -> Claim | None:
    """Move the row into an attempt, if it is as ``rows`` demands, not stopped, and sending is not held."""
    now, lease_until = timezone.now(), after(lease_seconds())
    took = (
        rows.filter(is_stopped=False)
        .exclude(holds.sending_held(now))
        .update(
            due_at=lease_until,
            attempts=F("attempts") + 1,
            attempt_started_at=now,
            unclear_until=after(unclear_seconds()),
            **changes,
        )
    )
    return Claim(email, lease_until, email.attempts + 1, now) if took else None


def as_read(email: EmailMessage) -> EmailMessageQuerySet:
    """The row, if nobody has claimed or changed it since it was read."""
    return email_rows().filter(pk=email.pk, due_at=email.due_at, attempts=email.attempts, status=email.status).to_send()


def still_ours(claim: Claim) -> EmailMessageQuerySet:
    """The row, if no other worker took it over after the claim's lease ran out."""
    return email_rows().filter(pk=claim.email.pk, due_at=claim.lease_until, attempts=claim.attempt).to_send()
