"""Booking an appointment and writing to the person who booked it: what to copy into a project of your own."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction

from appointments.models import Appointment
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.utils import send_email_notification


def book(*, name: str, email_address: str, place: str, date: dt.date, time: dt.time) -> Appointment:
    """Save an appointment together with its confirmation.

    Both or neither: if anything in the block fails, no email goes out for an appointment that does not exist. The
    email leaves after the commit, in the worker, so nobody waits for Notify here.
    """
    appointment = Appointment(name=name, email_address=email_address, place=place, date=date, time=time)
    with transaction.atomic():
        appointment.confirmation = _write_to(appointment)
        appointment.save()
    return appointment


def remind(appointment: Appointment) -> EmailMessage:
    """Send the details of an appointment once more, and keep the email among its reminders."""
    with transaction.atomic():
        email = _write_to(appointment)
        appointment.reminders.add(email)
    return email


def _write_to(appointment: Appointment) -> EmailMessage:
    return send_email_notification(
        email_address=appointment.email_address,
        template_id=settings.APPOINTMENT_TEMPLATE_ID,
        personalisation={
            "name": appointment.name,
            "date": spoken_date(appointment.date),
            "time": spoken_time(appointment.time),
            "place": appointment.get_place_display(),
            "reference": appointment.reference,
        },
        # Shown on Notify's own pages beside the email: whoever answers the telephone can find it there
        reference=appointment.reference,
    )


def spoken_date(date: dt.date) -> str:
    """A date as people say it: Tuesday 24 November 2026."""
    return f"{date:%A} {date.day} {date:%B %Y}"


def spoken_time(time: dt.time) -> str:
    """A time as people say it: 9:30am, 2pm."""
    hour = time.hour % 12 or 12
    minutes = f":{time:%M}" if time.minute else ""
    return f"{hour}{minutes}{'am' if time.hour < 12 else 'pm'}"
