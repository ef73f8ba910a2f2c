"""How sending went over the last hour, day and week, in figures that cost about the same with millions of emails.

Note [Figures of a sample]
    The emails are read in one statement, newest first, as many as ``SAMPLE`` of them: what they come to is worked out
    here rather than by the database, since percentiles are not asked for alike in all of them. Where a period has more
    emails than that, its figures are those of the newest ones, and ``Period.since`` says how far back they reach.

    It is the database that subtracts moments: to make a moment of Python's from each of a row's takes many times as
    long. Without time zones it cannot, for it would be an hour out where clocks are put forward or back meanwhile.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Max, Q
from django.utils import timezone

from django_govuk_notify_outbox import figures, health
from django_govuk_notify_outbox.events import Kind, Outcome
from django_govuk_notify_outbox.models import EmailMessageEvent, email_rows, write_database
from django_govuk_notify_outbox.moments import before, seconds_between, seconds_since
from django_govuk_notify_outbox.statuses import FINAL, Status

#: As many emails are read, from the newest on.
SAMPLE = 20_000
#: The periods, in seconds, from the shortest on.
PERIODS: Mapping[str, float] = {"hour": 3600.0, "day": 86_400.0, "week": 604_800.0}
#: As many kinds of error are told, from the most common on.
MOST_ERRORS = 10

#: What the statuses come to, for who wants to know no more. Each status is in one of them.
GROUPS: Mapping[str, tuple[Status, ...]] = {
    "delivered": (Status.NOTIFY_DELIVERED,),
    "failed-at-notify": (
        Status.NOTIFY_TEMPORARY_FAILURE,
        Status.NOTIFY_TECHNICAL_FAILURE,
        Status.NOTIFY_PERMANENT_FAILURE,
    ),
    "failed-before-notify": (Status.FAILED_SEND_TO_NOTIFY,),
    "at-notify": (Status.SENT_TO_NOTIFY, Status.NOTIFY_CREATED, Status.NOTIFY_SENDING),
    "to-send": (Status.SENDING_TO_NOTIFY, Status.RETRYING_SEND_TO_NOTIFY),
}

_ERRORS = (Outcome.REFUSED, Outcome.TRY_LATER, Outcome.LIMITED, Outcome.UNCLEAR, Outcome.NO_ANSWER)

#: An email's status; and in seconds how long ago it was made, how long it took until Notify accepted it, and until its
#: status changed last.
_Row = tuple[str, float, float | None, float]


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long something took, in seconds."""

    #: Half of them took no longer.
    median: float
    #: 95 in 100 took no longer.
    slow: float


@dataclass(frozen=True, kw_only=True)
class Period:
    """The emails that were made in the last hour, day or week."""

    #: A key of ``PERIODS``.
    name: str
    #: From when on emails were counted.
    since: dt.datetime
    #: Whether that is the whole period. If not, the figures are those of the newest emails in it.
    is_whole: bool
    number: int
    statuses: Mapping[Status, int]
    #: From the time an email was made to when Notify accepted it; None when it accepted none.
    to_acceptance: Times | None
    #: From the time an email was made to when it was known to be delivered; None when none was.
    to_delivery: Times | None

    @property
    def delivered(self) -> int:
        """How many were delivered."""
        return self.statuses[Status.NOTIFY_DELIVERED]

    @property
    def ended(self) -> int:
        """How many met their fate, whether at Notify or before it."""
        return sum(self.statuses[status] for status in FINAL)

    @property
    def delivery_rate(self) -> float | None:
        """The share that was delivered, of those that met their fate; None when none has yet."""
        return self.delivered / self.ended if self.ended else None

    def of_group(self, group: str) -> int:
        """How many are in the statuses of one of the ``GROUPS``."""
        return sum(self.statuses[status] for status in GROUPS[group])


@dataclass(frozen=True, kw_only=True)
class Error:
    """Errors that were alike. Nothing in it is personal, as Notify's message may be."""

    kind: Kind
    #: None when an email was abandoned.
    outcome: Outcome | None
    http_status: int | None
    error_type: str
    exception: str
    number: int
    newest_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Errors:
    """The errors of the last week, or of as much of it as the newest events reach back."""

    since: dt.datetime
    #: Whether that is the whole week.
    is_whole: bool
    #: The most common ones first.
    most_common: Sequence[Error]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How sending went, and how the outbox is now."""

    #: From the shortest on.
    periods: Sequence[Period]
    errors: Errors
    #: What is overdue, whether sync runs, and what is wrong.
    health: health.Report


def report() -> Summary:
    """How sending went lately. It takes some fifteen statements that are cheap at any number of emails.

    Raises what the database raises when it does not answer.
    """
    now, longest = timezone.now(), max(PERIODS.values())
    read = _read(now, longest)
    return Summary(
        periods=[_period(name, seconds, read, now) for name, seconds in PERIODS.items()],
        errors=_errors(now, longest),
        health=health.report(),
    )


def _read(now: dt.datetime, seconds: float) -> list[_Row]:
    """The newest emails of the last seconds, newest first. See Note [Figures of a sample]."""
    emails = email_rows().filter(created_at__gt=before(now, seconds)).order_by("-created_at")
    if timezone.is_naive(now):
        moments = emails.values_list("status", "created_at", "sent_at", "status_changed_at")[:SAMPLE]
        return [
            (status, seconds_since(made), seconds_between(made, sent) if sent else None, seconds_between(made, changed))
            for status, made, sent, changed in moments
        ]
    made_at = F("created_at")
    lengths = emails.values_list("status", now - made_at, F("sent_at") - made_at, F("status_changed_at") - made_at)
    return [
        (status, age.total_seconds(), sent.total_seconds() if sent is not None else None, changed.total_seconds())
        for status, age, sent, changed in lengths[:SAMPLE]
    ]


def _period(name: str, seconds: float, read: Sequence[_Row], now: dt.datetime) -> Period:
    rows = [row for row in read if row[1] < seconds]
    # That the sample has an older one tells that it has all of these
    is_whole = len(read) < SAMPLE or len(rows) < len(read)
    counted = Counter(row[0] for row in rows)
    delivered = Status.NOTIFY_DELIVERED.value
    return Period(
        name=name,
        since=before(now, seconds if is_whole else rows[-1][1]),
        is_whole=is_whole,
        number=len(rows),
        statuses={status: counted[status] for status in Status},
        to_acceptance=_times([row[2] for row in rows if row[2] is not None]),
        to_delivery=_times([row[3] for row in rows if row[0] == delivered]),
    )


def _times(taken: list[float]) -> Times | None:
    if not taken:
        return None
    taken.sort()
    slow = taken[math.ceil(len(taken) * 0.95) - 1]
    # Below 0 is what a host's clock made of it
    return Times(median=max(statistics.median(taken), 0.0), slow=max(slow, 0.0))


def _errors(now: dt.datetime, seconds: float) -> Errors:
    since, is_whole = before(now, seconds), True
    events = EmailMessageEvent.objects.using(write_database()).order_by()
    newest = events.order_by("-pk").values_list("pk", flat=True).first() or 0
    # See Note [Figures that are bounded] in figures.py
    read = events.filter(pk__gt=newest - figures.MOST_EVENTS)
    if newest > figures.MOST_EVENTS:
        first = read.order_by("pk").values_list("created_at", flat=True)[0]
        since, is_whole = max(since, first), first <= since
    is_error = Q(outcome__in=_ERRORS) | Q(kind=Kind.ABANDONED)
    groups = (
        # Other kinds are of a newer version, which is at work too or was
        read.filter(is_error, kind__in=Kind.values, created_at__gte=since)
        .values("kind", "outcome", "http_status", "error_type", "exception")
        .annotate(number=Count("pk"), newest_at=Max("created_at"))
        .order_by("-number", "-newest_at")[:MOST_ERRORS]
    )
    return Errors(since=since, is_whole=is_whole, most_common=[_error(group) for group in groups])


def _error(group: Mapping[str, Any]) -> Error:
    outcome = Outcome(group["outcome"]) if group["outcome"] else None
    return Error(**{**group, "kind": Kind(group["kind"]), "outcome": outcome})
