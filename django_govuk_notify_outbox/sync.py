"""One run of sync: whatever is due, within a budget of time, one run at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.utils import timezone

from django_govuk_notify_outbox import conf, delivery, holds, tracking
from django_govuk_notify_outbox.delivery import Progress
from django_govuk_notify_outbox.models import EmailMessageQuerySet, email_rows

logger = logging.getLogger(__name__)

#: Seconds that a run may spend on sending, and then on tracking: a backlog of one never starves the other.
SENDING_BUDGET = 20.0
TRACKING_BUDGET = 20.0
#: Rows read at a time, so that memory stays flat whatever the backlog.
BATCH_SIZE = 100


def run() -> None:
    """Send what is due to be sent and look up what is due to be looked up.

    With nothing due it is one indexed read. While another run is under way it returns at once.
    """
    rows = email_rows()
    if not rows.due(timezone.now()).exists():
        return
    # Longer than steps take, and renewed between them. Should one take longer, the claims keep two runs apart
    lease = holds.Lease(holds.SYNC, seconds=2 * conf.timeout() + 10)
    if not lease.take():
        return
    try:
        if not holds.is_sending_held():
            _work_off(rows.to_send(), delivery.deliver, budget=SENDING_BUDGET, lease=lease)
        _work_off(rows.to_track(), tracking.look_up, budget=TRACKING_BUDGET, lease=lease)
    finally:
        lease.release()


def _work_off(rows: EmailMessageQuerySet, act: Callable[[int], Progress], *, budget: float, lease: holds.Lease) -> None:
    """Act on each row that is due, the longest waiting first, until none is left or time is up."""
    started_at = timezone.now()
    ends_at = time.monotonic() + budget
    batch: list[int] = []
    troubled: set[int] = set()
    while True:
        due = rows.due(started_at).exclude(pk__in=troubled)
        previous, batch = batch, list(due.values_list("pk", flat=True)[:BATCH_SIZE])
        # What was acted on is due later than this run's start. What is still due cannot be acted on now
        if not batch or batch == previous:
            return
        for pk in batch:
            if time.monotonic() >= ends_at or not lease.renew():
                return
            try:
                if act(pk) is Progress.STOP:
                    return
            except Exception:
                # One row's trouble must not hold up the others. If it was claimed, its lease brings it back
                logger.exception("Email %s: could not be dealt with", pk)
                troubled.add(pk)
