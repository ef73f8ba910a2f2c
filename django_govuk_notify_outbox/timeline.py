"""Everything that happened to an email, in order and in words, as far as somebody may see it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.masking import HIDDEN, Sight
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.moments import aware


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


def entries(email: EmailMessage, sight: Sight) -> list[Entry]:
    """What happened to the email, the first thing first."""
    found, before = [], email.created_at
    for event in email.events.all():
        found.append(_entry(event, sight, before))
        before = event.created_at
    return found


def _entry(event: EmailMessageEvent, sight: Sight, before: dt.datetime) -> Entry:
    # On a clock that jumps, or of another host, it may have been before
    seconds = max((aware(event.created_at) - aware(before)).total_seconds(), 0.0)
    return Entry(
        event=event,
        sentence=wording.describe(event, reason=None if sight.may_see_message(event) else ""),
        passed=wording.passed(seconds),
        mood=wording.mood_of_event(event),
        answer=sight.message(event),
        traceback=event.traceback if sight.contents or not event.traceback else HIDDEN,
    )
