"""Emails by what people mean when they ask for them: those that need attention, are on their way, failed, ….

Each is a question that an index answers: of the status and the time of creation, or of what is due.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from django_govuk_notify_outbox.statuses import FAILED_AT_NOTIFY, TO_SEND, TO_TRACK, Status

_Row_co = TypeVar("_Row_co", bound=models.Model, covariant=True)

#: For so long after an email was made, its failure needs somebody's attention.
FAILED_LATELY = dt.timedelta(days=7)
#: So much later than it should have been is too late for an email's next step. A busy sync may be a little behind.
TOO_LATE = dt.timedelta(seconds=300)

_FAILURES = {Status.FAILED_SEND_TO_NOTIFY} | FAILED_AT_NOTIFY


@dataclass(frozen=True)
class Part:
    """A part of a state, which one index has in order."""

    condition: Q
    order: tuple[str, ...]


def _in_status(status: str, condition: Q | None = None) -> Part:
    # A range of one status: with "=", PostgreSQL may read from the newest email of any status on, past millions
    one = Q(status__gte=status, status__lte=status)
    return Part(one if condition is None else one & condition, ("-status", "-created_at"))


def _failed_lately() -> Q:
    return Q(created_at__gte=timezone.now() - FAILED_LATELY, is_stopped=False)


def _too_late() -> Q:
    return Q(due_at__lt=timezone.now() - TOO_LATE)


def parts_that_need_attention() -> list[Part]:
    """The parts of ``needs_attention()``: each failure, and what is overdue, the longest waiting first."""
    lately = _failed_lately()
    return [*(_in_status(each, lately) for each in sorted(_FAILURES)), Part(_too_late(), ("due_at",))]


def parts_on_its_way() -> list[Part]:
    """The parts of ``on_its_way()``: each status."""
    return [_in_status(each) for each in sorted(TO_SEND | TO_TRACK)]


def parts_failed_at_notify() -> list[Part]:
    """The parts of ``failed_at_notify()``: each failure."""
    return [_in_status(each) for each in sorted(FAILED_AT_NOTIFY)]


def parts_overdue() -> list[Part]:
    """The one part of ``overdue()``: the longest waiting first."""
    return [Part(Q(due_at__lte=timezone.now()), ("due_at",))]


class ByState(models.QuerySet[_Row_co]):
    """The part of ``EmailMessageQuerySet`` that knows what people mean."""

    def first_of(self, parts: Iterable[Part], most: int) -> Self:
        """Those of these that come first in each part, at most so many of each.

        Each is read from its index, in order. A database that is asked for the newest of several statuses at once may
        read from the newest email on until it has enough: past millions, where they are few and old.
        """
        pks: set[Any] = set()
        for part in parts:
            rows = self.filter(part.condition).order_by(*part.order)
            pks |= set(rows.values_list("pk", flat=True)[:most])
        return self.filter(pk__in=pks)

    def needs_attention(self) -> Self:
        """Those that failed, made in the last seven days, and those overdue by more than five minutes.

        Not those that failed because somebody stopped them: so it was wished.
        """
        return self.filter(Q(status__in=sorted(_FAILURES)) & _failed_lately() | _too_late())

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
        return self.filter(status__in=sorted(FAILED_AT_NOTIFY))

    def overdue(self) -> Self:
        """Those whose next step should have been taken by now."""
        return self.filter(due_at__lte=timezone.now())
