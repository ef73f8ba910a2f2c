"""Things that nobody may do until a moment, agreed between all processes through the database.

A hold is a lease: it ends by itself, so a process that is killed holds nobody up for long. One that would last longer
than a hold ever does was taken before the clock was set back, and counts no more.
"""

from __future__ import annotations

import datetime as dt

from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from django_govuk_notify_outbox.durability import committed
from django_govuk_notify_outbox.models import Hold, write_database
from django_govuk_notify_outbox.moments import CLOCK_TOLERANCE, after

SENDING = "sending"
SYNC = "sync"
FAR_PAGES = "far-pages"
LIST = "list"

#: Seconds of silence after Notify limited us or did not take our key.
#:
#: Notify's token bucket takes a token for a refused request too, so a dry bucket that keeps being tried lets nothing
#: through. Two tokens' time must pass in silence: 0.04 seconds at Notify's default limit of 3,000 a minute. Five
#: seconds fit every service with a limit of 24 a minute or more, and refill the bucket for a burst of 250.
SENDING_HOLD = 5.0
#: Seconds for which pages of Notify's list that begin far from what is due are not tried, after one in vain.
FAR_PAGES_PAUSE = 600.0
#: Seconds for which Notify is not asked for its list at all, after it did not give it. If the list alone fails, emails
#: are looked up one by one meanwhile, so that they are followed all the same.
LIST_SILENCE = 30.0


def hold_sending() -> dt.datetime:
    """Stop all processes from sending for a few seconds; the moment from which they may send again."""
    until = after(SENDING_HOLD)
    _move(SENDING, until, only_if=Q(), now=timezone.now())
    return until


def sending_held(now: dt.datetime) -> Exists:
    """A condition for a WHERE clause: sending is held."""
    return Exists(_in_force(Hold.objects.all(), SENDING, SENDING_HOLD, now))


def is_sending_held() -> bool:
    """Whether nobody may send just now."""
    return _is_in_force(SENDING, SENDING_HOLD)


def pause_far_pages() -> None:
    """Let nobody try pages that begin far from what is due, for some minutes. See tracking.py."""
    _move(FAR_PAGES, after(FAR_PAGES_PAUSE), only_if=Q(), now=timezone.now())


def are_far_pages_paused() -> bool:
    """Whether such a page was tried in vain some minutes ago."""
    return _is_in_force(FAR_PAGES, FAR_PAGES_PAUSE)


def avoid_list() -> None:
    """Let nobody ask for Notify's list for some seconds. See tracking.py."""
    _move(LIST, after(LIST_SILENCE), only_if=Q(), now=timezone.now())


def is_list_avoided() -> bool:
    """Whether Notify did not give its list some seconds ago."""
    return _is_in_force(LIST, LIST_SILENCE)


def end_of(name: str) -> dt.datetime | None:
    """When a hold ends, or when the last one ended; None when there has been none."""
    return Hold.objects.using(write_database()).filter(name=name).values_list("until", flat=True).first()


def _is_in_force(name: str, longest: float) -> bool:
    return _in_force(Hold.objects.using(write_database()), name, longest, timezone.now()).exists()


def _in_force(rows: QuerySet[Hold], name: str, longest: float, now: dt.datetime) -> QuerySet[Hold]:
    latest = now + dt.timedelta(seconds=longest + CLOCK_TOLERANCE)
    return rows.filter(name=name, until__gt=now, until__lte=latest)


class Lease:
    """The right to be the only one who does a thing, for some seconds at a time."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self.name = name
        self.length = dt.timedelta(seconds=seconds)
        self.until: dt.datetime | None = None

    def take(self) -> bool:
        """Take the lease if it is free. False: somebody else has it."""
        now, until = timezone.now(), after(self.length.total_seconds())
        is_free = Q(until__lte=now) | Q(until__gt=now + self.length + dt.timedelta(seconds=CLOCK_TOLERANCE))
        taken = _move(self.name, until, only_if=is_free, now=now)
        self.until = until if taken else None
        return taken

    def renew(self) -> bool:
        """Keep the lease, once a third of it has passed. False: it ran out, and somebody else took it."""
        now = timezone.now()
        if self.until is None:
            return False
        if self.until - now > self.length * 2 / 3:
            return True
        until = after(self.length.total_seconds())
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


def _move(name: str, until: dt.datetime, *, only_if: Q, now: dt.datetime) -> bool:
    """Move the end of a hold, creating its row the first time. False: the row is not as ``only_if`` demands."""
    holds = Hold.objects.using(write_database())
    row = holds.filter(name=name)
    # A transaction each: MariaDB locks the place of a row that is not there, and two who then insert it wait in a ring
    with committed():
        if row.filter(only_if).update(until=until):
            return True
    # No such row yet, or held. A row of a migration's making would be gone after a test's TRUNCATE, so make it here
    holds.bulk_create([Hold(name=name, until=now)], ignore_conflicts=True)
    return row.filter(only_if).update(until=until) == 1
