"""Words for templates."""

from __future__ import annotations

import datetime as dt

from django import template

from appointments import booking
from appointments.wording import WORDS, Words
from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent

register = template.Library()


@register.filter
def words(email: EmailMessage) -> Words:
    """An email's status for the person who booked."""
    return WORDS[email.status]


@register.filter
def story(event: EmailMessageEvent) -> str:
    """An event as one sentence, for developers."""
    return wording.describe(event)


@register.filter
def spoken_date(date: dt.date) -> str:
    """A date as people say it."""
    return booking.spoken_date(date)


@register.filter
def spoken_time(time: dt.time) -> str:
    """A time as people say it."""
    return booking.spoken_time(time)
