"""Everything that happened to an email, in order and in words, as far as somebody may see it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.masking import HIDDEN, Sight
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.moments import aware

#: Of an email to which very much happened, as many events are told from its beginning, and from its end.
FIRST, NEWEST = 50, 450


@dataclass(frozen=True)
class Entry:
    """Something that happened."""

    event: EmailMessageEvent
    #: What it was, in one sentence or two.
    sentence: str
    #: The time since what happened before, such as "2 minutes 5 seconds".
    passed: str
    mood: str
    #: What Notify answered; blank where it said nothing.
    answer: str
    traceback: str
    #: How many events between this one and the one before are not told.
    left_out: int = 0


def entries(email: EmailMessage, sight: Sight) -> list[Entry]:
    """What happened to the email, the first thing first; of very much, the beginning and the end."""
    found, before = [], email.created_at
    events, left_out = _told(email)
    for position, event in enumerate(events):
        found.append(_entry(event, sight, before, left_out if position == FIRST else 0))
        before = event.created_at
    return found


def _told(email: EmailMessage) -> tuple[list[EmailMessageEvent], int]:
    """The events that are told, and how many are left out after the first ``FIRST``."""
    events = email.events.order_by("pk")
    newest = list(events.reverse()[:NEWEST])[::-1]
    if len(newest) < NEWEST:
        return newest, 0
    older = events.filter(pk__lt=newest[0].pk)
    first = list(older[:FIRST])
    return [*first, *newest], older.count() - len(first)


def _entry(event: EmailMessageEvent, sight: Sight, before: dt.datetime, left_out: int) -> Entry:
    # On a clock that jumps, or of another host, it may have been before
    seconds = max((aware(event.created_at) - aware(before)).total_seconds(), 0.0)
    return Entry(
        event=event,
        sentence=wording.describe(event, reason=None if sight.may_see_message(event) else ""),
        passed=wording.passed(seconds),
        mood=wording.mood_of_event(event),
        answer=sight.message(event),
        traceback=event.traceback if sight.contents or not event.traceback else HIDDEN,
        left_out=left_out,
    )
