"""Appointments, each linked to the emails that were sent about it."""

from __future__ import annotations

import secrets

from django.db import models
from django.urls import reverse

from django_govuk_notify_outbox.models import EmailMessage

# No vowels, so that no words come out; nothing that is read as something else on paper or over the telephone
_REFERENCE_ALPHABET = "BCDFGHJKMNPQRTVWXZ2346789"


def new_reference() -> str:
    """A reference that a person can read out: RO-7K3M-XQ4T."""
    first, second = ("".join(secrets.choice(_REFERENCE_ALPHABET) for _ in range(4)) for _ in range(2))
    return f"RO-{first}-{second}"


class Appointment(models.Model):
    """One visit to a register office."""

    class Place(models.TextChoices):
        """Where one can go."""

        MARKET_STREET = "market-street", "Market Street register office"
        HARBOUR_HOUSE = "harbour-house", "Harbour House register office"
        OAKFIELD = "oakfield", "Oakfield library"

    reference = models.CharField(max_length=12, unique=True, default=new_reference, editable=False)
    name = models.CharField(max_length=100)
    email_address = models.EmailField("email address", max_length=320)
    place = models.CharField(max_length=20, choices=Place.choices)
    date = models.DateField()
    time = models.TimeField()
    created_at = models.DateTimeField("booked", auto_now_add=True)

    # SET_NULL: emails are personal data and are deleted after a while; the appointment stays.
    # The "+" leaves EmailMessage without a name for the way back, which nothing here needs.
    confirmation = models.ForeignKey(
        EmailMessage, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    reminders = models.ManyToManyField(EmailMessage, editable=False, related_name="+")

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"Appointment {self.reference}"

    def get_absolute_url(self) -> str:
        """Its own page."""
        return reverse("appointment", args=[self.reference])
