"""The admin's list of emails, which costs as much with a thousand emails as with millions.

Note [A list without an end]
    Nothing is counted beyond ``MOST``, and the list ends there: somebody who looks for an older email narrows down. It
    is in the order of creation alone, which an index has. What is shown of the events is read for the rows of the page.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format

from django_govuk_notify_outbox.admin_contents import seen_by
from django_govuk_notify_outbox.admin_filters import PARTS, StateFilter
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, EmailMessageQuerySet

if TYPE_CHECKING:
    _Paginator = Paginator[EmailMessage]
else:
    _Paginator = Paginator

#: Where counting stops, and the list ends.
MOST = 1_000
ORDER = ("-created_at", "-id")


class AtLeast(int):
    """A number where counting stopped. People read "1,000+", templates calculate with 1,000."""

    def __str__(self) -> str:
        # Where a project has digits grouped, that is done to what is given here, whatever it is
        is_grouped = number_format(MOST) != f"{MOST:d}"
        return f"{int(self):d}" if is_grouped else f"{int(self):,}+"


class BoundedPaginator(_Paginator):
    """Pages that end at ``MOST``. See Note [A list without an end]."""

    @cached_property
    def count(self) -> int:
        """How many there are, or that there are at least ``MOST``."""
        found = self.object_list
        assert isinstance(found, QuerySet)  # noqa: S101  # what the admin gives
        number = found.order_by()[: MOST + 1].count()
        return AtLeast(MOST) if number > MOST else number


class EmailList(ChangeList):
    """A page of the list. See Note [A list without an end]."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Always the newest first, whatever the address of the page says."""
        return list(ORDER)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """The emails without what may be megabytes each; of a state that no index has in order, the first."""
        rows = super().get_queryset(request, *args, **kwargs)
        assert isinstance(rows, EmailMessageQuerySet)  # noqa: S101  # for the type checker: the model's own
        rows = rows.without_contents()
        parts = PARTS.get(self.params.get(StateFilter.parameter_name, ""))
        return rows if parts is None else rows.first_of(parts(), MOST + 1)

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page, and the newest error of each."""
        super().get_results(request)
        rows: list[EmailMessage] = list(self.result_list)
        errors = newest_errors(rows)
        for email in rows:
            email.__dict__["_newest_error"] = errors.get(email.pk)
            seen_by(request, email)
        self.result_list = rows

    @property
    def is_cut_short(self) -> bool:
        """Whether there are more than are listed."""
        return isinstance(self.result_count, AtLeast)


def newest_errors(emails: list[EmailMessage]) -> dict[int, EmailMessageEvent]:
    """The newest event with an error of each email that has one, by the email's key."""
    events = EmailMessageEvent.objects.all()
    if emails:
        events = events.using(emails[0]._state.db)  # noqa: SLF001  # the name that Django documents
    failed = events.filter(email_message_id__in=[email.pk for email in emails]).exclude(exception="")
    newest = failed.order_by().values("email_message_id").annotate(newest=Max("pk")).values_list("newest", flat=True)
    fields = ("email_message_id", "http_status", "message")
    return {event.email_message_id: event for event in events.filter(pk__in=list(newest)).only(*fields)}
