"""Models of a user's that link to emails."""

from __future__ import annotations

from typing import ClassVar

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


class Appeal(models.Model):
    """Somebody's appeal, of which some are kept secret, and its one answer."""

    name = models.CharField(max_length=50)
    answer = models.OneToOneField(EmailMessage, null=True, on_delete=models.SET_NULL, related_name="appeal")
    copy = models.ForeignKey(
        EmailMessage, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name="copy to the court"
    )

    objects: ClassVar[models.Manager[Appeal]] = models.Manager()

    class Meta:
        app_label = "linking"

    def __str__(self) -> str:
        return self.name


class Mailing(models.Model):
    """Emails that were sent together, with a model of the user's between."""

    emails = models.ManyToManyField(EmailMessage, through="Part", related_name="+")

    objects: ClassVar[models.Manager[Mailing]] = models.Manager()

    class Meta:
        app_label = "linking"

    def __str__(self) -> str:
        return f"Mailing {self.pk}"


class Part(models.Model):
    """An email's part in a mailing. It may have several."""

    mailing = models.ForeignKey(Mailing, on_delete=models.CASCADE)
    email = models.ForeignKey(EmailMessage, on_delete=models.CASCADE)

    objects: ClassVar[models.Manager[Part]] = models.Manager()

    class Meta:
        app_label = "linking"

    def __str__(self) -> str:
        return f"Part {self.pk}"
