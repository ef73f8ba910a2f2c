"""The way back from an email to the objects of the user's models that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models.fields.reverse_related import ForeignObjectRel

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent


@dataclass(frozen=True)
class Link:
    """A field of a user's model that points at emails."""

    model: type[models.Model]
    field: str
    #: The field's own name for people.
    label: str

    def pointing_at(self, email: EmailMessage, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Those of the model's rows that point at the email. One may come several times."""
        return rows.filter(**{self.field: email})


def links() -> list[Link]:
    """Every ForeignKey, OneToOneField and ManyToManyField to emails, of all models that are installed."""
    return sorted(_links(), key=lambda link: (link.model._meta.label, link.field))  # noqa: SLF001  # Django's public API


def _links() -> Iterator[Link]:
    # Hidden ones too: related_name="+" is common
    for relation in EmailMessage._meta.get_fields(include_hidden=True):  # noqa: SLF001  # Django's public API
        if not isinstance(relation, ForeignObjectRel):
            continue
        model: Any = relation.related_model
        # Django's own tables behind a ManyToManyField say nothing that the field does not
        if model is not EmailMessageEvent and not model._meta.auto_created:  # noqa: SLF001  # and this
            yield Link(model, relation.field.name, str(relation.field.verbose_name))
