"""How the outbox is doing, in figures that cost about the same with a thousand emails as with millions.

Note [Figures that are bounded]
    Nothing is counted without an end: what is read is the first of an index, or as many of its entries as
    ``MOST_COUNTED``. Events have no index on their time, and need none: their numbers rise with it, so that the newest
    ``MOST_EVENTS`` are a range of the primary key. Where more than those happened lately, ``Recent.seconds`` says how
    far back they reach.

Note [Whether sync runs]
    A run that has work takes the lease of sync, and what is left of that tells when the last one ended. A run that has
    none leaves no trace: it is one read, every few seconds, for ever. So that sync does not run is known only when it
    is missed, as emails are overdue. Until then nothing needed it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Avg, BooleanField, Case, Count, F, Max, Min, Q, QuerySet, Value, When
from django.utils import timezone

from django_govuk_notify_outbox import holds
from django_govuk_notify_outbox.events import SETTINGS_ARE_WRONG, Cause, Kind, Outcome, cause_of
from django_govuk_notify_outbox.models import EmailMessageEvent, email_rows, write_database
from django_govuk_notify_outbox.moments import seconds_since
from django_govuk_notify_outbox.statuses import TO_SEND

#: Where counting stops.
MOST_COUNTED = 10_000
#: As many events are read, from the newest on.
MOST_EVENTS = 20_000


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Emails that wait for the same thing."""

    number: int
    #: Whether there may be more of them than were counted.
    is_more: bool
    #: Seconds that the oldest of them has waited; None when none was found.
    oldest: float | None


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """Emails whose next step should have been taken, by the time since then.

    Where there are more than ``MOST_COUNTED`` together, the two are what is found among the oldest of those.
    """

    to_send: Backlog
    to_look_up: Backlog

    @property
    def oldest(self) -> float | None:
        """Seconds since the next step of either kind should have been taken; None when nothing is overdue."""
        return max((each.oldest for each in (self.to_send, self.to_look_up) if each.oldest is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Sync:
    """What is known of the runs of sync. See Note [Whether sync runs]."""

    is_running: bool
    #: Seconds since the last run that had work came to its end; None when there was none yet.
    worked: float | None


@dataclass(frozen=True, kw_only=True)
class Happenings:
    """Events that were alike."""

    kind: str
    outcome: str
    status: str
    #: Whether the status was news.
    is_change: bool
    http_status: int | None
    cause: Cause | None
    number: int
    #: Seconds that the requests took on average; None when there were none.
    duration: float | None
    #: Seconds since the newest of them.
    newest: float


@dataclass(frozen=True, kw_only=True)
class Recent:
    """What happened lately."""

    #: As far back as the events reach that were read.
    seconds: float
    happenings: Sequence[Happenings]
    #: Seconds since the first refusal, if Notify has accepted nothing after it; None when it has.
    refused: float | None


def waiting_to_be_sent() -> Backlog:
    """The emails that Notify has not accepted and that may still be sent, by the time since they were asked for."""
    backlogs = [in_status(status) for status in sorted(TO_SEND)]
    return Backlog(
        number=sum(each.number for each in backlogs),
        is_more=any(each.is_more for each in backlogs),
        oldest=max((each.oldest for each in backlogs if each.oldest is not None), default=None),
    )


def in_status(status: str) -> Backlog:
    """The emails in one status, by the time since they were made, or since somebody had them sent again.

    Where there are more than ``MOST_COUNTED``, the time is what is found among those that were made first.
    """
    # A range of one status: with "=", PostgreSQL may read from the oldest email of any status on, past millions
    rows = email_rows().filter(status__gte=status, status__lte=status).order_by("status", "created_at")
    found = rows[:MOST_COUNTED].aggregate(number=Count("pk"), oldest=Min("requested_at"))
    return Backlog(number=found["number"], is_more=found["number"] >= MOST_COUNTED, oldest=_ago(found["oldest"]))


def overdue() -> Overdue:
    """The emails that are due, and by how much."""
    due = email_rows().filter(due_at__lte=timezone.now()).order_by("due_at")
    # Both kinds at once: to find the few of one kind behind very many of the other would take long
    found = list(due.values_list("due_at", "status")[:MOST_COUNTED])
    to_send = [due_at for due_at, status in found if status in TO_SEND]
    to_look_up = [due_at for due_at, status in found if status not in TO_SEND]

    def backlog(moments: list[dt.datetime | None]) -> Backlog:
        is_more = len(found) >= MOST_COUNTED
        return Backlog(number=len(moments), is_more=is_more, oldest=_ago(moments[0] if moments else None))

    return Overdue(to_send=backlog(to_send), to_look_up=backlog(to_look_up))


def sync_runs() -> Sync:
    """Whether a run of sync is at work, and when the last one was."""
    until = holds.end_of(holds.SYNC)
    if until is None:
        return Sync(is_running=False, worked=None)
    ago = seconds_since(until)
    return Sync(is_running=ago < 0, worked=max(ago, 0.0))


def recently(seconds: float) -> Recent:
    """What happened in the last seconds, or in as many of them as the newest events reach back."""
    events = EmailMessageEvent.objects.using(write_database()).order_by()
    newest = events.order_by("-pk").values_list("pk", flat=True).first() or 0
    read = events.filter(pk__gt=newest - MOST_EVENTS)
    lately = read.filter(created_at__gt=timezone.now() - dt.timedelta(seconds=seconds))
    happenings = _happenings(lately)
    reach = seconds
    if newest > MOST_EVENTS:
        first = read.order_by("pk").values_list("created_at", flat=True)[0]
        reach = min(seconds, seconds_since(first))
    return Recent(seconds=reach, happenings=happenings, refused=_refused_for(lately, happenings))


def _ago(moment: dt.datetime | None) -> float | None:
    """Seconds since a moment, none below 0; None if there is no moment."""
    return None if moment is None else max(seconds_since(moment), 0.0)


def _happenings(events: QuerySet[EmailMessageEvent]) -> list[Happenings]:
    groups = (
        events.annotate(
            is_change=_whether(~Q(status=F("previous_status"))),
            is_clock=_whether(Q(message__contains="clock")),
        )
        .values("kind", "outcome", "status", "is_change", "http_status", "exception", "is_clock")
        .annotate(number=Count("pk"), seconds=Avg("duration"), newest_at=Max("created_at"))
    )
    return [
        Happenings(
            kind=group["kind"],
            outcome=group["outcome"],
            status=group["status"],
            is_change=group["is_change"],
            http_status=group["http_status"],
            cause=cause_of(group["outcome"], group["http_status"], group["exception"], is_clock=group["is_clock"]),
            number=group["number"],
            duration=group["seconds"],
            newest=_ago(group["newest_at"]) or 0.0,
        )
        for group in groups
    ]


def _whether(condition: Q) -> Case:
    return Case(When(condition, then=Value(value=True)), default=Value(value=False), output_field=BooleanField())


def _refused_for(events: QuerySet[EmailMessageEvent], happenings: Sequence[Happenings]) -> float | None:
    if not any(each.outcome == Outcome.LIMITED or each.cause for each in happenings):
        return None
    attempts = events.filter(kind=Kind.ATTEMPT)
    accepted = attempts.filter(outcome=Outcome.ACCEPTED).aggregate(last=Max("pk"))["last"] or 0
    # As cause_of() has it
    is_ours = Q(http_status__isnull=False) | Q(exception=SETTINGS_ARE_WRONG)
    is_refusal = Q(outcome=Outcome.LIMITED) | Q(is_ours, outcome=Outcome.TRY_LATER)
    first = attempts.filter(is_refusal, pk__gt=accepted).aggregate(first=Min("created_at"))["first"]
    return _ago(first)
