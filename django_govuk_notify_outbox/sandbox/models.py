"""What the sandbox stores: emails that it accepted, requests that it got, receipts to post, faults to play, its clock.

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

_COLUMNS = (
    *("frozen_at", "sending_after", "final_after", "rate_limit", "daily_limit", "callback_url", "callback_token"),
    "final_spread",
)
_LOAD = f"""
SELECT {", ".join(_COLUMNS)},
       EXISTS(SELECT 1 FROM govuk_notify_sandbox_fault WHERE remaining > 0)
FROM govuk_notify_sandbox_sandboxstate WHERE id = 1
"""  # noqa: S608  names of columns

_DAY = 24 * 3600 * clock.SECOND


def digest_of(reference: str) -> str:
    """Return what references are searched by: MariaDB can't index the text, and would ignore its case."""
    return hashlib.sha256(reference.encode()).hexdigest()


class SandboxState(models.Model):
    """The one row of settings that can be changed while the sandbox runs. Where it's empty, see conf.py."""

    frozen_at = models.BigIntegerField(null=True)
    sending_after = models.FloatField(default=1.0)
    final_after = models.FloatField(default=2.0)
    rate_limit = models.IntegerField(null=True)
    daily_limit = models.IntegerField(null=True)
    callback_url = models.TextField(null=True)  # noqa: DJ001  "" means none, whatever the settings say
    callback_token = models.TextField(null=True)  # noqa: DJ001  as above
    final_spread = models.FloatField(default=0.0)

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
        state = cls(1, *row[:-1])
        state.faults_waiting = bool(row[-1])
        return state

    @classmethod
    def change(cls, **values: float | str | None) -> None:
        """Set some of the settings, and leave the others as they are."""
        cls.objects.update_or_create(pk=1, defaults=values)

    def now(self) -> int:
        """Return the sandbox's time."""
        return clock.real_now() if self.frozen_at is None else self.frozen_at

    def plan(self, notification_id: uuid.UUID, created_at: int) -> tuple[int, int]:
        """Return when an email is sending, and when it has its final status: the same moments for the same id."""
        share = notification_id.int % 1_000_000 / 1_000_000  # any part of a random id lies evenly
        final_after = max(self.sending_after, self.final_after) + share * self.final_spread
        return created_at + round(self.sending_after * clock.SECOND), created_at + round(final_after * clock.SECOND)


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Searches that depend on the time."""

    def visible_at(self, now: int, *, retention_days: int) -> Self:
        """Keep those that no fault hides, and that Notify would not have deleted yet."""
        kept = self.filter(created_at__gt=now - retention_days * _DAY)
        return kept.filter(Q(hidden_until=None) | Q(hidden_until__lte=now))

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
        if status == SENDING:
            # As by the job that Notify runs at five past midnight.
            self.final_at = self.created_at + 3 * _DAY
            self.final_at += -self.final_at % _DAY + 300 * clock.SECOND
            self.final_status = "temporary-failure"
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


class Receipt(models.Model):
    """A delivery receipt to post, or posted: see receipts.py. What it says is fixed at the first attempt."""

    notification_id = models.UUIDField(db_index=True)
    url = models.TextField()
    token = models.TextField()
    payload = models.TextField()
    attempts = models.IntegerField(default=0)
    # When to try next. None: there is nothing left to do.
    due_at = models.BigIntegerField(null=True, db_index=True)
    # What the last attempt came to: an HTTP status, or why there was none.
    outcome = models.TextField()

    def __str__(self) -> str:
        return f"receipt for {self.notification_id}, {self.attempts} attempts"


class Allowance(models.Model):
    """What is left of a token bucket and since when, or how much was sent on a day: see limits.py."""

    name = models.CharField(max_length=64, unique=True)
    amount = models.IntegerField()
    since = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}: {self.amount}"


class Fault(models.Model):
    """Something to go wrong with the next matching requests: see faults.py."""

    method = models.CharField(max_length=4)
    remaining = models.IntegerField(db_index=True)
    # The end of a fault that goes on for a time. It counts as one that remains until somebody sees that it's over.
    until = models.BigIntegerField(null=True)
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
