"""How the admin's list of emails is narrowed down. Every question is one that an index answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import states
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageQuerySet
from django_govuk_notify_outbox.states import Part

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

#: Templates that the filter lists.
MOST_TEMPLATES = 30
#: Emails that a search for one thing finds.
MOST_FOUND = 1_000

# A number of this many digits may be greater than any key, and a much longer one is more than int() takes
_PK_DIGITS = 19

STATES: dict[str, tuple[_StrOrPromise, Callable[[EmailMessageQuerySet], EmailMessageQuerySet]]] = {
    "needs-attention": (_("Needs attention"), EmailMessageQuerySet.needs_attention),
    "on-its-way": (_("On its way"), EmailMessageQuerySet.on_its_way),
    "delivered": (_("Delivered"), EmailMessageQuerySet.delivered),
    "failed-before-notify": (_("Failed before Notify"), EmailMessageQuerySet.failed_before_notify),
    "failed-at-notify": (_("Failed at Notify"), EmailMessageQuerySet.failed_at_notify),
    "overdue": (_("Overdue"), EmailMessageQuerySet.overdue),
}


#: The states that no single index has in the order of the list.
PARTS: dict[str, Callable[[], list[Part]]] = {
    "needs-attention": states.parts_that_need_attention,
    "on-its-way": states.parts_on_its_way,
    "failed-at-notify": states.parts_failed_at_notify,
    "overdue": states.parts_overdue,
}


class StateFilter(SimpleListFilter):
    """By what people mean, which may be several statuses or none of them."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, _StrOrPromise]]:
        """The states, in words."""
        return [(value, words) for value, (words, _narrow) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The emails in the state. An unknown one is said to be wrong, instead of listing everything."""
        value = self.value()
        if value is None:
            return queryset
        if value not in STATES or not isinstance(queryset, EmailMessageQuerySet):
            raise IncorrectLookupParameters
        return STATES[value][1](queryset)


class TemplateFilter(SimpleListFilter):
    """By template, of which the first are listed: any other can be put into the page's address."""

    title: _StrOrPromise = _("template")
    parameter_name = "template_id"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        """The templates that emails have, and the one that is asked for."""
        found = list(_templates(model_admin.get_queryset(request)))
        if len(found) > MOST_TEMPLATES:
            found.pop()
            self.title = _("template (the first %(number)d)") % {"number": MOST_TEMPLATES}
        wanted = self.value()
        if wanted is not None and wanted not in found:
            found.append(wanted)
        return [(template_id, template_id) for template_id in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The emails of the template."""
        wanted = self.value()
        if wanted is None:
            return queryset
        if "\0" in wanted:
            # PostgreSQL would not even be asked
            raise IncorrectLookupParameters
        return queryset.filter(template_id=wanted)


def _templates(emails: QuerySet[EmailMessage]) -> Iterator[str]:
    """The first templates, one more than are listed: each the next in the index, without reading what is between."""
    ids = emails.order_by("template_id").values_list("template_id", flat=True)
    last = ids.first()
    for _number in range(MOST_TEMPLATES):
        if last is None:
            return
        yield last
        last = ids.filter(template_id__gt=last).first()
    if last is not None:
        yield last


def search(emails: EmailMessageQuerySet, term: str) -> set[int]:
    """The keys of the emails with exactly this address, reference, Notify id or number, of each the newest thousand.

    Each is looked for by itself, in its own index: asked for all at once, a database may read every email there is.
    """
    found: set[int] = set()
    for rows in _matches(emails, term):
        found |= set(rows.order_by("-pk").values_list("pk", flat=True)[:MOST_FOUND])
    return found


def _matches(emails: EmailMessageQuerySet, term: str) -> Iterator[EmailMessageQuerySet]:
    yield emails.with_address(term)
    yield emails.with_reference(term)
    if term.isascii() and term.isdecimal() and len(term) < _PK_DIGITS:
        yield emails.filter(pk=int(term))
    try:
        notify_id = uuid.UUID(term)
    except ValueError:
        return
    yield emails.filter(notify_id=notify_id)
