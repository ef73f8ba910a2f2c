"""Waiting until everything has come to its end, with word of it now and then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from django.db import Error, connection
from django.db.models import Count

from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox.control import Sandbox
from django_govuk_notify_outbox.statuses import FINAL
from tests.storm.processes import Crew

#: Seconds between two lines.
REPORT_EVERY = 10.0


def wait_for_first(sandbox: Sandbox) -> None:
    """Wait until the first email has gone all the way, so that no fault is wasted on processes that only start."""
    ends_at = time.monotonic() + 60.0
    while not sandbox.emails() and time.monotonic() < ends_at:
        time.sleep(0.1)


def wait(crew: Crew, *, seconds: float, tell: Callable[[str], None]) -> bool:
    """Wait until the callers are done and every row is final. False: that did not come in time."""
    ends_at = time.monotonic() + seconds
    report_at = time.monotonic() + REPORT_EVERY
    while not is_settled(crew):
        if time.monotonic() > ends_at:
            return False
        if time.monotonic() > report_at:
            report_at += REPORT_EVERY
            tell(f"           settling: {progress(crew)}")
        time.sleep(0.25)
    return True


def is_settled(crew: Crew) -> bool:
    """Whether nothing is to be expected any more."""
    if not all(caller.is_done for caller in crew.callers):
        return False
    # The last faults may have hit this process's own connection
    with contextlib.suppress(Error):
        return not EmailMessage.objects.exclude(status__in=FINAL).exists()
    connection.close()
    return False


def progress(crew: Crew) -> str:
    """How many emails there are of each status, and how many callers are busy."""
    counts = EmailMessage.objects.order_by("status").values_list("status").annotate(number=Count("pk"))
    parts = [f"{number} {status}" for status, number in counts]
    busy = sum(not caller.is_done for caller in crew.callers)
    return ", ".join([*parts, *([f"{busy} callers busy"] if busy else [])])
