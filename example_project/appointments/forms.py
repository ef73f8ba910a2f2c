"""The booking form."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils import timezone

from appointments.booking import spoken_date, spoken_time
from appointments.models import Appointment

DAYS_ON_OFFER = 4
TIMES_ON_OFFER = (dt.time(9, 30), dt.time(11), dt.time(14), dt.time(15, 45))
_SATURDAY = 5


def days_on_offer(today: dt.date) -> list[dt.date]:
    """The next working days."""
    days = (today + dt.timedelta(days=number) for number in range(1, DAYS_ON_OFFER * 2 + 2))
    return [day for day in days if day.weekday() < _SATURDAY][:DAYS_ON_OFFER]


class BookingForm(forms.Form):
    """Who comes, where and when. Its messages say what to do rather than what is wrong."""

    name = forms.CharField(
        label="Full name",
        max_length=100,
        error_messages={"required": "Enter your full name"},
        widget=forms.TextInput(attrs={"autocomplete": "name", "spellcheck": "false"}),
    )
    email_address = forms.EmailField(
        label="Email address",
        max_length=320,
        help_text="We’ll only use this to send you the details of your appointment",
        error_messages={
            "required": "Enter your email address",
            "invalid": "Enter an email address in the correct format, like name@example.com",
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )
    place = forms.ChoiceField(
        label="Where would you like to go?",
        choices=Appointment.Place.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Select a register office", "invalid_choice": "Select a register office"},
    )
    date = forms.TypedChoiceField(
        label="Which day?",
        coerce=dt.date.fromisoformat,
        widget=forms.RadioSelect,
        error_messages={"required": "Select a day", "invalid_choice": "Select a day"},
    )
    time = forms.TypedChoiceField(
        label="What time?",
        coerce=dt.time.fromisoformat,
        choices=[(time.isoformat("minutes"), spoken_time(time)) for time in TIMES_ON_OFFER],
        widget=forms.RadioSelect,
        error_messages={"required": "Select a time", "invalid_choice": "Select a time"},
    )

    # The template draws the widgets itself, with its own classes; this keeps the browser from answering first
    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        date = self.fields["date"]
        if isinstance(date, forms.ChoiceField):
            date.choices = [(day.isoformat(), spoken_date(day)) for day in days_on_offer(timezone.localdate())]
