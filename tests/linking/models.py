"""Models of a user's that link to emails."""

from __future__ import annotations

from django.db import models

from django_govuk_notify_outbox.models import EmailMessage


class Licence(models.Model):
    """Somebody's licence, with the emails about it."""

    decision = models.ForeignKey(EmailMessage, null=True, on_delete=models.SET_NULL, related_name="+")
    reminders = models.ManyToManyField(EmailMessage, related_name="licences")

    class Meta:
        app_label = "linking"

    def __str__(self) -> str:
        return f"Licence {self.pk}"
