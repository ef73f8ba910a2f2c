"""Some of the user's models in the admin, where not everybody may see everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern

from tests.linking.models import Appeal, Licence, Mailing

if TYPE_CHECKING:
    _Appeals = admin.ModelAdmin[Appeal]
    _Licences = admin.ModelAdmin[Licence]
    _Mailings = admin.ModelAdmin[Mailing]
else:
    _Appeals = _Licences = _Mailings = admin.ModelAdmin


@admin.register(Licence)
class LicenceAdmin(_Licences):
    """For those with Django's permission."""


@admin.register(Appeal)
class AppealAdmin(_Appeals):
    """Secret ones are for nobody, and those of others are left out of what is read."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Appeal]:
        return super().get_queryset(request).exclude(name__startswith="Other's")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and (obj is None or not obj.name.startswith("Secret"))


@admin.register(Mailing)
class MailingAdmin(_Mailings):
    """It has no pages."""

    def get_urls(self) -> list[URLPattern]:
        return []
