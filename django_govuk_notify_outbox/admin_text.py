"""What the recipient of an email saw, or would see: asked of Notify when somebody wants to know, and not kept."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from django_govuk_notify_outbox import conf, masking, notify
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.outcomes import NoAnswer, Text

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[EmailMessage]
else:
    _Admin = admin.ModelAdmin

_SITE = "https://www.notifications.service.gov.uk/services"


class TextAdmin(_Admin):
    """The part of the admin that shows what an email says."""

    def get_urls(self) -> list[URLPattern]:
        """Django's pages, and the one of the text."""
        view = self.admin_site.admin_view(require_safe(self.text_view))
        # Notify may take as long as the TIMEOUT setting allows: no transaction is to be open that long
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_text"
        return [path("<int:pk>/text/", view, name=name), *super().get_urls()]

    def text_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The subject and body, as Notify gives them just now, or what it answered instead. It changes nothing."""
        email: EmailMessage | None = self.get_queryset(request).filter(pk=pk).first()
        if not self.has_view_permission(request, email) or not request.user.has_perm(masking.PERMISSION):
            raise PermissionDenied
        if email is None:
            raise Http404
        is_preview = email.notify_id is None
        answer = _preview(email) if email.notify_id is None else notify.text_of(email.notify_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("What the recipient would see") if is_preview else _("What the recipient saw"),
            "subtitle": str(email),
            "opts": self.opts,
            "media": self.media,
            "email": email,
            "is_preview": is_preview,
            "text": answer if isinstance(answer, Text) else None,
            "exchange": answer.exchange,
            "is_gone": not is_preview and answer.exchange.http_status == 404,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/django_govuk_notify_outbox/emailmessage/text.html", context)


def _preview(email: EmailMessage) -> Text | NoAnswer:
    return notify.preview(email.template_id, email.personalisation)


def page_at_notify(notify_id: uuid.UUID | None) -> str | None:
    """The address of an email's page in Notify's own website; None when it has none that we know of."""
    service = conf.service_id()
    return None if notify_id is None or service is None else f"{_SITE}/{service}/notification/{notify_id}"
