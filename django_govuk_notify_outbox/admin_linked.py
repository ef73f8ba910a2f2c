"""The objects of the user's models that point at an email, as far as the person may see them in the same admin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db import models
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from django_govuk_notify_outbox import linked
from django_govuk_notify_outbox.linked import Link
from django_govuk_notify_outbox.models import EmailMessage

#: Objects that are listed of each model and field.
MOST_LISTED = 10
# Among as many, those are looked for that the person may see
_MOST_READ = 100


@dataclass(frozen=True)
class Linked:
    """The objects of one model that point at an email with one field."""

    model_name: str
    field_name: str
    #: Whether there are more than are listed.
    is_more: bool = False
    #: Each as its text and the address of its page, if it has one.
    objects: list[tuple[str, str | None]] = field(default_factory=list)


def linked_to(email: EmailMessage, request: HttpRequest, site: AdminSite) -> list[Linked]:
    """What points at the email, of the models that are registered and the objects that the person may see there."""
    return [found for link in linked.links() if (found := _linked(link, email, request, site))]


def _linked(link: Link, email: EmailMessage, request: HttpRequest, site: AdminSite) -> Linked | None:
    if not site.is_registered(link.model):
        return None
    model_admin = site.get_model_admin(link.model)
    rows = link.pointing_at(email, model_admin.get_queryset(request))[:_MOST_READ]
    seen: dict[Any, models.Model] = {}
    for row in rows:
        if len(seen) <= MOST_LISTED and row.pk not in seen and model_admin.has_view_permission(request, row):
            seen[row.pk] = row
    if not seen:
        return None
    shown = list(seen.values())[:MOST_LISTED]
    return Linked(
        model_name=str(model_admin.opts.verbose_name),
        field_name=link.label,
        is_more=len(seen) > MOST_LISTED,
        objects=list(_with_pages(shown, site)),
    )


def _with_pages(objects: list[models.Model], site: AdminSite) -> Iterator[tuple[str, str | None]]:
    for each in objects:
        options = each._meta  # noqa: SLF001  # a public API of Django's
        name = f"admin:{options.app_label}_{options.model_name}_change"
        try:
            yield str(each), reverse(name, args=[quote(each.pk)], current_app=site.name)
        except NoReverseMatch:
            # A project's own ModelAdmin may have no such page
            yield str(each), None
