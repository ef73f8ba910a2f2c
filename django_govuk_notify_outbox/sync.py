"""One run of sync: whatever is due, within a budget of time, one run at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from django.utils import timezone

from django_govuk_notify_outbox import claims, conf, delivery, durability, holds, tracing, tracking
from django_govuk_notify_outbox.concurrency import Act, Interruptions, for_each
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet, email_rows

logger = logging.getLogger(__name__)

#: Seconds that a run may spend on sending, and then on tracking: a backlog of one never starves the other.
SENDING_BUDGET = 20.0
TRACKING_BUDGET = 20.0
#: Seconds after which a run that could not send everything ends all the same. Until then it begins anew by itself, for
#: a backlog would lose a good part of the time to waiting for the next run.
RUN_BUDGET = 40.0
#: Emails read at a time, so that memory stays flat whatever the backlog.
SENDING_BATCH = 100
#: Eight pages of Notify's list, if all of them are on it in a row.
TRACKING_BATCH = 2000


def run(*, interrupted_by: Interruptions = ()) -> bool:
    """Send what is due to be sent and look up what is due to be looked up. False: another run is under way.

    With nothing due it is one indexed read. While another run is under way it returns at once. ``interrupted_by`` is an
    exception that ends the run whichever row it strikes, such as Celery's time limit.
    """
    if not email_rows().due(timezone.now()).exists():
        return True
    # First, for a run that fails over a wrong setting must not leave the trace of one that worked
    threads = conf.sync_threads()
    # Longer than steps take, and renewed between them. Should one take longer, the claims keep two runs apart
    lease = holds.Lease(holds.SYNC, seconds=claims.lease_seconds())
    if not lease.take():
        return False
    current = _Run(lease, threads, interrupted_by)
    ends_at = time.monotonic() + RUN_BUDGET
    try:
        # Around runs that have work alone: the others come every few seconds, for ever
        with tracing.span("sync"):
            has_more = True
            while has_more:
                has_more = not holds.is_sending_held() and current.send() and time.monotonic() < ends_at
                current.track()
    finally:
        # Without this, a run whose connection was cut could not give its lease back
        durability.drop_broken_connection()
        lease.release()
    return True


class _Run:
    """A run that has the lease."""

    def __init__(self, lease: holds.Lease, threads: int, interrupted_by: Interruptions) -> None:
        self._lease = lease
        self._threads = threads
        self._interrupted_by = interrupted_by

    def send(self) -> bool:
        """Send what is due, the longest waiting first, until none is left or Notify limits us. True: time is up."""
        ends_at = time.monotonic() + SENDING_BUDGET
        batches = _batches(email_rows().to_send(), SENDING_BATCH)
        first = next(batches, [])
        pks = (email.pk for batch in chain([first], batches) for email in batch)
        progress = self._for_each(pks, delivery.deliver, at_most=len(first), may_go_on=self._until(ends_at))
        return progress is Progress.STOP and time.monotonic() >= ends_at

    def track(self) -> None:
        """Find out what became of what was sent: by the page as far as that pays, and what is left one by one."""
        may_go_on = self._until(time.monotonic() + TRACKING_BUDGET)
        for batch in _batches(email_rows().to_track(), TRACKING_BATCH):
            walk = tracking.Walk(batch, may_go_on=may_go_on)
            try:
                if walk.go() is Progress.STOP:
                    return
            except self._interrupted_by:
                raise
            except Exception:
                # Those that are left may fare better one by one
                logger.exception("A page of Notify's list could not be dealt with")
                durability.drop_broken_connection()
            left = walk.left
            if self._for_each(left, tracking.look_up, at_most=len(left), may_go_on=may_go_on) is Progress.STOP:
                return

    def _for_each(self, pks: Iterable[int], act: Act, *, at_most: int, may_go_on: Callable[[], bool]) -> Progress:
        # For a single email it is not worth to connect anew
        threads = min(self._threads, at_most) if durability.is_seen_by_threads() else 1
        return for_each(pks, act, threads=threads, may_go_on=may_go_on, interrupted_by=self._interrupted_by)

    def _until(self, ends_at: float) -> Callable[[], bool]:
        return lambda: time.monotonic() < ends_at and self._lease.renew()


def _batches(rows: EmailMessageQuerySet, size: int) -> Iterator[list[EmailMessage]]:
    """The emails that are due now, the longest waiting first, each once.

    What was acted on is due later than this run's start. What still is due was passed: it cannot be acted on now.
    """
    due = rows.due(timezone.now()).only("due_at", *tracking.NEEDED)
    batch = list(due[:size])
    while batch:
        yield batch
        last = batch[-1]
        batch = list(due.filter(due_at__gte=last.due_at).exclude(due_at=last.due_at, pk__lte=last.pk)[:size])
