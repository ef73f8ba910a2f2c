"""Emails by what people mean when they ask for them: those that need attention, are on their way, failed, ….

Each is a question that an index answers: of the status and the time of creation, or of what is due.
"""

from __future__ import annotations

import datetime as dt
from typing import Self, TypeVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from django_govuk_notify_outbox.statuses import TO_SEND, TO_TRACK, Status

_Row_co = TypeVar("_Row_co", bound=models.Model, covariant=True)

#: For so long after an email was made, its failure needs somebody's attention.
FAILED_LATELY = dt.timedelta(days=7)
#: So much later than it should have been is too late for an email's next step. A busy sync may be a little behind.
TOO_LATE = dt.timedelta(seconds=300)

_AT_NOTIFY = {Status.NOTIFY_TEMPORARY_FAILURE, Status.NOTIFY_TECHNICAL_FAILURE, Status.NOTIFY_PERMANENT_FAILURE}
_FAILURES = {Status.FAILED_SEND_TO_NOTIFY} | _AT_NOTIFY


class ByState(models.QuerySet[_Row_co]):
    """The part of ``EmailMessageQuerySet`` that knows what people mean."""

    def needs_attention(self) -> Self:
        """Those that failed, made in the last seven days, and those overdue by more than five minutes.

        Not those that failed because somebody stopped them: so it was wished.
        """
        now = timezone.now()
        failed = Q(status__in=sorted(_FAILURES), created_at__gte=now - FAILED_LATELY, is_stopped=False)
        return self.filter(failed | Q(due_at__lt=now - TOO_LATE))

    def on_its_way(self) -> Self:
        """Those whose fate is open: to be sent, or at Notify, which has not said what became of them."""
        return self.filter(status__in=sorted(TO_SEND | TO_TRACK))

    def delivered(self) -> Self:
        """Those that Notify delivered."""
        return self.filter(status=Status.NOTIFY_DELIVERED)

    def failed_before_notify(self) -> Self:
        """Those that Notify never took: refused, given up, or stopped."""
        return self.filter(status=Status.FAILED_SEND_TO_NOTIFY)

    def failed_at_notify(self) -> Self:
        """Those that Notify took and could not deliver."""
        return self.filter(status__in=sorted(_AT_NOTIFY))

    def overdue(self) -> Self:
        """Those whose next step should have been taken by now."""
        return self.filter(due_at__lte=timezone.now())
