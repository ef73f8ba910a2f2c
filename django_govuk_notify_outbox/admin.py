"""The emails in Django's admin: the operator's desk. Nothing is edited, added or deleted there by hand.

The list is in ``admin_paging.py`` and ``admin_filters.py``, what can be done in ``admin_actions.py``, what the email
says in ``admin_text.py``, and what points at it in ``admin_linked.py``.
For whom it is shown, and what is hidden from them, is in ``admin_contents.py``.
"""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import url_params_from_lookup_dict
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import masking, timeline, wording
from django_govuk_notify_outbox.admin_actions import OperationsAdmin
from django_govuk_notify_outbox.admin_contents import ContentsAdmin, request_of, seen_by, sight, sight_of
from django_govuk_notify_outbox.admin_filters import StateFilter, TemplateFilter, search
from django_govuk_notify_outbox.admin_linked import linked_to
from django_govuk_notify_outbox.admin_paging import BoundedPaginator, EmailList
from django_govuk_notify_outbox.admin_summary import summary_view
from django_govuk_notify_outbox.admin_text import TextAdmin, page_at_notify
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, EmailMessageQuerySet

_PLACE = "django_govuk_notify_outbox"
#: What the list can be narrowed down by. Anything else could be used to guess at what is hidden.
_LOOKUPS = {"state", "template_id", "status__exact", "created_at__gte", "created_at__lt"}


@admin.register(EmailMessage)
class EmailMessageAdmin(OperationsAdmin, TextAdmin, ContentsAdmin):
    """What happened to an email: the list, and one page with its story."""

    list_display = (
        "id",
        "status_tag",
        "recipient",
        "listed_subject",
        "created",
        "next",
        "last_error",
        # On small screens the table scrolls sideways: what is asked for less often comes last
        "attempts",
        "changed",
        "template",
    )
    list_display_links = ("id", "status_tag")
    list_filter = (StateFilter, "status", TemplateFilter, "created_at")
    search_fields = ("email_address", "reference", "notify_id")
    search_help_text = _("Type a whole email address, reference, Notify id or email number. A part finds nothing.")
    # See Note [A list without an end] in admin_paging.py
    ordering = ("-created_at", "-id")
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/django_govuk_notify_outbox/emailmessage/change_list.html"
    fieldsets = (
        (None, {"fields": ("status_tag", "next", "possible")}),
        (_("What happened"), {"fields": ("timeline", "at_notify", "belongs_to")}),
        (
            _("What was asked for"),
            {
                "fields": (
                    "recipient",
                    "subject_line",
                    "template_id",
                    "personalisation_as_json",
                    "reference",
                    "reply_to",
                    "unsubscribe_url",
                    "sanitised_for",
                )
            },
        ),
        (
            _("Where it stands"),
            {
                "fields": (
                    "notify_id",
                    "attempts",
                    "stopped",
                    "created_at",
                    "requested_at",
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
        """Django's pages, and the summary."""
        view = self.admin_site.admin_view(partial(summary_view, self))
        return [path("summary/", view, name="django_govuk_notify_outbox_emailmessage_summary"), *super().get_urls()]

    # --- The list ---------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EmailList]:
        """The list without an end."""
        return EmailList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EmailMessage], search_term: str
    ) -> tuple[QuerySet[EmailMessage], bool]:
        """Search for exactly the term, in indexed columns only."""
        term = search_term.strip()
        if not term:
            return queryset, False
        everywhere = EmailMessageQuerySet(self.model, using=queryset.db)
        return queryset.filter(pk__in=search(everywhere, term)), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whether the address of the list may narrow down by this: by what has an index and is not personal."""
        if lookup in _LOOKUPS:
            # PostgreSQL fails at a NUL; the other filters look at what they are given
            return lookup != "status__exact" or "\0" not in str(value)
        # What the popup of a project's ForeignKey narrows down by, since its limit_choices_to says so
        limits: Any = self.opts.related_fkey_lookups
        called = (each() if callable(each) else each for each in limits)
        return any((lookup, value) in url_params_from_lookup_dict(each).items() for each in called)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, with a link to the page that sums it up."""
        context = {"summary_url": self._summary_url(), "is_masked": not sight(request).contents}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _summary_url(self) -> str | None:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_summary"
        try:
            return reverse(name, current_app=self.admin_site.name)
        except NoReverseMatch:
            return None

    # --- The page of an email -----------------------------------------------------------------------------------

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> EmailMessage | None:
        """The email, and who looks at it."""
        email = super().get_object(request, object_id, from_field)
        return None if email is None else seen_by(request, email)

    @admin.display(description=_("status"))
    def status_tag(self, email: EmailMessage) -> SafeString:
        """The status in words, on a colour that says how things are."""
        mood, words = wording.mood(email.status), email.get_status_display()
        return format_html('<span class="outbox-tag outbox-tag--{}">{}</span>', mood, words)

    @admin.display(description=_("next step"))
    def next(self, email: EmailMessage) -> str:
        """What happens next, and when."""
        step = {"next_step": wording.next_step(email), "overdue": wording.is_overdue(email)}
        return render_to_string(f"{_PLACE}/next_step.html", {"email": email, **step})

    @admin.display(description=_("what you can do"))
    def possible(self, email: EmailMessage) -> str:
        """What the person may do, each with its page."""
        request = request_of(email)
        if request is None:
            return "-"
        text_url = self._reverse("text", email.pk) if sight(request).contents else None
        context = {"operations": self.operations_for(request, email), "text_url": text_url, "email": email}
        return render_to_string(f"{_PLACE}/possible.html", context)

    @admin.display(description=_("timeline"))
    def timeline(self, email: EmailMessage) -> str:
        """Everything that happened to the email, in order."""
        context = {"email": email, "entries": timeline.entries(email, sight_of(email))}
        return render_to_string(f"{_PLACE}/timeline.html", context)

    @admin.display(description=_("stopped"))
    def stopped(self, email: EmailMessage) -> str:
        """In a word: Django's red cross would mean "no" here, and looks as if something were wrong."""
        return gettext("Yes") if email.is_stopped else gettext("No")

    @admin.display(description=_("at Notify"))
    def at_notify(self, email: EmailMessage) -> SafeString | str:
        """A link to the email in Notify's own website."""
        url = page_at_notify(email.notify_id)
        return "-" if url is None else format_html('<a href="{}">{}</a>', url, _("See it on GOV.UK Notify"))

    @admin.display(description=_("belongs to"))
    def belongs_to(self, email: EmailMessage) -> str:
        """The objects of the project's models that point at the email."""
        request = request_of(email)
        found = [] if request is None else linked_to(email, request, self.admin_site)
        return render_to_string(f"{_PLACE}/linked.html", {"linked": found}) if found else "-"

    # --- The rest -------------------------------------------------------------------------------------------------

    @admin.display(description=_("template"))
    def template(self, email: EmailMessage) -> SafeString:
        """The beginning of the template's id, to tell templates apart; the whole of it on hovering."""
        return format_html('<abbr class="outbox-id" title="{0}">{1}</abbr>', email.template_id, email.template_id[:8])

    @admin.display(description=_("created"))
    def created(self, email: EmailMessage) -> SafeString:
        """The day and the time, to the second."""
        return _moment(email.created_at)

    @admin.display(description=_("last change"))
    def changed(self, email: EmailMessage) -> SafeString:
        """When the status was last another one."""
        return _moment(email.status_changed_at)

    @admin.display(description=_("last error"))
    def last_error(self, email: EmailMessage) -> str:
        """The newest error, in one line."""
        event: EmailMessageEvent | None = email.__dict__.get("_newest_error")
        if event is None:
            return "-"
        sight = sight_of(email)
        return " ".join(event.message.split())[:120] if sight.may_see_message(event) else masking.HIDDEN_SHORT

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: emails are made by ``send_email_notification``."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: an email's row says what happened to it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


def _moment(moment: dt.datetime) -> SafeString:
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    day, time = date_format(local, "SHORT_DATE_FORMAT"), local.strftime("%H:%M:%S")
    return format_html('<time datetime="{}">{}<br>{}</time>', local.isoformat(), day, time)
