"""The emails in Django's admin: to be looked at, never to be edited, added or deleted by hand."""

from __future__ import annotations

import contextlib
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.admin_summary import summary_view
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, digest, normalise_address
from django_govuk_notify_outbox.statuses import FINAL, TO_SEND, Status

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[EmailMessage]
else:
    _Admin = admin.ModelAdmin

# A number of this many digits may be greater than any key, and a much longer one is more than int() takes
_PK_DIGITS = 19
_LONGEST_TEXT = 2000


@admin.register(EmailMessage)
class EmailMessageAdmin(_Admin):
    """What happened to an email: the list, and one page with its story."""

    list_display = ("id", "status_tag", "email_address", "template", "created", "attempts", "next", "last_error")
    list_display_links = ("id", "status_tag")
    list_filter = ("status", "created_at")
    search_fields = ("email_address", "reference", "notify_id")
    search_help_text = _("A whole email address, reference, Notify id or number; not a part of one")
    ordering = ("-id",)
    list_per_page = 50
    # No COUNT(*) over the whole table beside the one over what is shown
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("status_tag", "next", "timeline")}),
        (
            _("What was asked for"),
            {
                "fields": (
                    "email_address",
                    "template_id",
                    "personalisation_as_json",
                    "reference",
                    "email_reply_to_id",
                    "one_click_unsubscribe_url",
                    "sanitise_content_for",
                )
            },
        ),
        (
            _("Where it stands"),
            {
                "fields": (
                    "notify_id",
                    "attempts",
                    "created_at",
                    "attempt_started_at",
                    "unclear_until",
                    "sent_at",
                    "status_changed_at",
                    "due_at",
                )
            },
        ),
    )

    class Media:
        css = {"all": ("django_govuk_notify_outbox/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """The admin's own pages, and the summary."""
        view = self.admin_site.admin_view(partial(summary_view, self))
        return [path("summary/", view, name="django_govuk_notify_outbox_emailmessage_summary"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailMessage]:
        """The emails, each with its newest error."""
        errors = EmailMessageEvent.objects.filter(email_message=OuterRef("pk")).exclude(exception="")
        return (
            super().get_queryset(request).annotate(_last_error=Subquery(errors.order_by("-pk").values("message")[:1]))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EmailMessage], search_term: str
    ) -> tuple[QuerySet[EmailMessage], bool]:
        """Search for exactly the term, in indexed columns only."""
        term = search_term.strip()
        if not term:
            return queryset, False
        matches = Q(address_digest=digest(normalise_address(term))) | Q(reference_digest=digest(term))
        if term.isascii() and term.isdecimal() and len(term) < _PK_DIGITS:
            matches |= Q(pk=int(term))
        with contextlib.suppress(ValueError):
            matches |= Q(notify_id=uuid.UUID(term))
        return queryset.filter(matches), False

    @admin.display(description=_("status"), ordering="status")
    def status_tag(self, email: EmailMessage) -> SafeString:
        """The status in words, on a colour that says how things are."""
        return format_html(
            '<span class="outbox-tag outbox-tag--{}">{}</span>',
            _mood(email.status),
            email.get_status_display(),
        )

    @admin.display(description=_("template"), ordering="template_id")
    def template(self, email: EmailMessage) -> SafeString:
        """The beginning of the template's id, to tell templates apart; the whole of it on hovering."""
        return format_html('<abbr class="outbox-id" title="{0}">{1}</abbr>', email.template_id, email.template_id[:8])

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, email: EmailMessage) -> SafeString:
        """The day and the time, to the second."""
        local = timezone.localtime(email.created_at) if timezone.is_aware(email.created_at) else email.created_at
        return format_html("{}<br>{}", date_format(local, "SHORT_DATE_FORMAT"), local.strftime("%H:%M:%S"))

    @admin.display(description=_("personalisation"))
    def personalisation_as_json(self, email: EmailMessage) -> SafeString | str:
        """The personalisation, laid out to be read. Files are shortened."""
        if email.personalisation is None:
            return "-"
        text = json.dumps(_shortened(email.personalisation), indent=2, ensure_ascii=False)
        return format_html('<pre class="outbox-json">{}</pre>', text)

    @admin.display(description=_("next step"), ordering="due_at")
    def next(self, email: EmailMessage) -> str:
        """What happens next, and when."""
        return render_to_string("django_govuk_notify_outbox/next_step.html", {"email": email, **_next(email)})

    @admin.display(description=_("last error"))
    def last_error(self, email: EmailMessage) -> str:
        """The newest error, in one line."""
        message: str | None = getattr(email, "_last_error", None)
        return " ".join(message.split())[:120] if message else "-"

    @admin.display(description=_("timeline"))
    def timeline(self, email: EmailMessage) -> str:
        """Everything that happened to the email, in order."""
        events = [
            {"event": event, "sentence": wording.describe(event), "mood": _event_mood(event)}
            for event in email.events.all()
        ]
        context = {"email": email, "events": events}
        return render_to_string("django_govuk_notify_outbox/timeline.html", context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: emails are made by ``send_email_notification``."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: an email's row says what happened to it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


def _shortened(value: Any) -> Any:
    """The value without the bulk of long texts in it, such as files, which are many screens of base64."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    return value


def _next(email: EmailMessage) -> dict[str, Any]:
    return {"next_step": wording.next_step(email), "overdue": wording.is_overdue(email)}


def _mood(status: str) -> str:
    """Which colour goes with a status. The words are always there too."""
    if status == Status.NOTIFY_DELIVERED:
        return "good"
    if status in FINAL:
        return "bad"
    if status == Status.RETRYING_SEND_TO_NOTIFY:
        return "worrying"
    return "waiting" if status in TO_SEND else "under-way"


def _event_mood(event: EmailMessageEvent) -> str:
    is_worrying = event.exception and event.status not in FINAL
    is_worrying = is_worrying or event.outcome == EmailMessageEvent.Outcome.ACCEPTED_AGAIN
    return "worrying" if is_worrying else _mood(event.status)
