"""Things that nobody may do until a moment, agreed between all processes through the database.

A hold is a lease: it ends by itself, so a process that is killed holds nobody up for long.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import Exists, QuerySet
from django.utils import timezone

from django_govuk_notify_outbox.models import Hold, write_database

SENDING = "sending"
SYNC = "sync"

#: Seconds of silence after Notify limited us or did not take our key.
#:
#: Notify's token bucket takes a token for a refused request too, so a dry bucket that keeps being tried lets nothing
#: through. Two tokens' time must pass in silence: 0.04 seconds at Notify's default limit of 3,000 a minute. Five
#: seconds fit every service with a limit of 24 a minute or more, and refill the bucket for a burst of 250.
SENDING_HOLD = 5.0


def hold_sending() -> dt.datetime:
    """Stop all processes from sending for a few seconds; the moment from which they may send again."""
    now = timezone.now()
    until = now + dt.timedelta(seconds=SENDING_HOLD)
    _move(SENDING, until, taken_before=None, now=now)
    return until


def sending_held(now: dt.datetime) -> Exists:
    """A condition for a WHERE clause: sending is held."""
    return Exists(Hold.objects.filter(name=SENDING, until__gt=now))


def is_sending_held() -> bool:
    """Whether nobody may send just now."""
    return Hold.objects.using(write_database()).filter(name=SENDING, until__gt=timezone.now()).exists()


class Lease:
    """The right to be the only one who does a thing, for some seconds at a time."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self.name = name
        self.length = dt.timedelta(seconds=seconds)
        self.until: dt.datetime | None = None

    def take(self) -> bool:
        """Take the lease if it is free. False: somebody else has it."""
        now = timezone.now()
        until = now + self.length
        taken = _move(self.name, until, taken_before=now, now=now)
        self.until = until if taken else None
        return taken

    def renew(self) -> bool:
        """Keep the lease, once a third of it has passed. False: it ran out, and somebody else took it."""
        now = timezone.now()
        if self.until is None:
            return False
        if self.until - now > self.length * 2 / 3:
            return True
        until = now + self.length
        kept = self._ours(self.until).update(until=until) == 1
        self.until = until if kept else None
        return kept

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        if self.until is not None:
            self._ours(self.until).update(until=timezone.now())
            self.until = None

    def _ours(self, until: dt.datetime) -> QuerySet[Hold]:
        return Hold.objects.using(write_database()).filter(name=self.name, until=until)


def _move(name: str, until: dt.datetime, *, taken_before: dt.datetime | None, now: dt.datetime) -> bool:
    """Move the end of a hold, creating its row the first time. False: it was taken already."""
    holds = Hold.objects.using(write_database())
    row = holds.filter(name=name)
    if taken_before is not None:
        row = row.filter(until__lte=taken_before)
    if row.update(until=until):
        return True
    # No such row yet, or held. A row of a migration's making would be gone after a test's TRUNCATE, so make it here
    holds.bulk_create([Hold(name=name, until=now)], ignore_conflicts=True)
    return row.update(until=until) == 1
