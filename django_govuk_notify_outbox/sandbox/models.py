"""What the sandbox stores: emails that it accepted, requests that it got, faults to play, its clock.

Times are microseconds since 1970, see clock.py.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable
from typing import Any, Self

from django.db import connections, models, router
from django.db.models import Q

from . import clock

CREATED = "created"
SENDING = "sending"
FINAL_STATUSES = ("delivered", "temporary-failure", "permanent-failure", "technical-failure")

_LOAD = """
SELECT frozen_at, sending_after, final_after,
       EXISTS(SELECT 1 FROM govuk_notify_sandbox_fault WHERE remaining > 0)
FROM govuk_notify_sandbox_sandboxstate WHERE id = 1
"""


def digest_of(reference: str) -> str:
    """Return what references are searched by: MariaDB can't index the text, and would ignore its case."""
    return hashlib.sha256(reference.encode()).hexdigest()


class SandboxState(models.Model):
    """The one row of settings that can be changed while the sandbox runs."""

    frozen_at = models.BigIntegerField(null=True)
    sending_after = models.FloatField(default=1.0)
    final_after = models.FloatField(default=2.0)

    faults_waiting = False  # overwritten by load()

    def __str__(self) -> str:
        return "sandbox settings"

    @classmethod
    def load(cls) -> Self:
        """Read the settings, and whether any fault waits, in one statement.

        In SQL, because every request begins with it: to have it made of a queryset takes longer than to run it.
        """
        with connections[router.db_for_read(cls)].cursor() as cursor:
            cursor.execute(_LOAD)
            row = cursor.fetchone()
        if row is None:
            return cls(pk=1)
        frozen_at, sending_after, final_after, faults_waiting = row
        state = cls(pk=1, frozen_at=frozen_at, sending_after=sending_after, final_after=final_after)
        state.faults_waiting = bool(faults_waiting)
        return state

    @classmethod
    def change(cls, **values: float | None) -> None:
        """Set some of the settings, and leave the others as they are."""
        cls.objects.update_or_create(pk=1, defaults=values)

    def now(self) -> int:
        """Return the sandbox's time."""
        return clock.real_now() if self.frozen_at is None else self.frozen_at


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Searches that depend on the time."""

    def visible_at(self, now: int) -> Self:
        """Keep those that no fault hides."""
        return self.filter(Q(hidden_until=None) | Q(hidden_until__lte=now))

    def with_status_at(self, statuses: Iterable[str], now: int) -> Self:
        """Keep those that have one of these statuses at that time."""
        final = Q(final_at__lte=now)
        sending = Q(sending_at__lte=now) & ~(final & Q(final_at__isnull=False))
        matches = Q(pk__in=[])
        for status in statuses:
            if status == CREATED:
                matches |= ~(final & Q(final_at__isnull=False)) & (Q(sending_at=None) | Q(sending_at__gt=now))
            elif status == SENDING:
                matches |= sending
            else:
                matches |= final & Q(final_status=status)
        return self.filter(matches)


class Notification(models.Model):
    """An email that was accepted.

    Its status is no column: it follows from sending_at and final_at (never, if empty) and the time of the question.
    So nothing has to run in the background, and the clock can be moved both ways.
    """

    notification_id = models.UUIDField(unique=True, default=uuid.uuid4)
    service_id = models.UUIDField()
    key_kind = models.CharField(max_length=4)
    email_address = models.CharField(max_length=320)
    template_id = models.UUIDField()
    template_version = models.IntegerField()
    # "" and none at all are different references to Notify.
    reference = models.TextField(null=True)  # noqa: DJ001
    reference_digest = models.CharField(max_length=64, null=True)  # noqa: DJ001  follows reference
    one_click_unsubscribe_url = models.TextField(null=True)  # noqa: DJ001  Notify's answers have null
    content = models.TextField()
    request_body = models.TextField()
    created_at = models.BigIntegerField()
    sending_at = models.BigIntegerField(null=True)
    final_at = models.BigIntegerField(null=True)
    final_status = models.CharField(max_length=100)
    hidden_until = models.BigIntegerField(null=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=["service_id", "key_kind", "created_at"], name="sandbox_listed"),
            models.Index(fields=["reference_digest", "created_at"], name="sandbox_referenced"),
        )

    def __str__(self) -> str:
        return str(self.notification_id)

    def status_at(self, now: int) -> str:
        """Return the status that Notify would show at that time."""
        if self.final_at is not None and self.final_at <= now:
            return self.final_status
        if self.sending_at is not None and self.sending_at <= now:
            return SENDING
        return CREATED

    def force_status(self, status: str, now: int) -> None:
        """Give it this status from now on, whatever was planned."""
        self.sending_at = None if status == CREATED else min(self.sending_at or now, now)
        self.final_at = None if status in (CREATED, SENDING) else now
        self.final_status = status
        self.save(update_fields=["sending_at", "final_at", "final_status"])

    @property
    def subject(self) -> str:
        """The subject with its placeholders filled in."""
        return str(json.loads(self.content)["subject"])

    @property
    def body(self) -> str:
        """The body with its placeholders filled in: text with markdown, no HTML."""
        return str(json.loads(self.content)["body"])

    @property
    def personalisation(self) -> dict[str, Any]:
        """What the caller gave for the placeholders, in the caller's order."""
        return json.loads(self.request_body).get("personalisation", {})  # type: ignore[no-any-return]


class Fault(models.Model):
    """Something to go wrong with the next matching requests: see faults.py."""

    method = models.CharField(max_length=4)
    remaining = models.IntegerField(db_index=True)
    rule = models.TextField()

    def __str__(self) -> str:
        return f"{self.method} fault, {self.remaining} left"


class ApiRequest(models.Model):
    """One request to the API and the status it was answered with: none if the connection was cut."""

    method = models.CharField(max_length=10)
    path = models.TextField()
    query = models.TextField()
    status = models.IntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"
