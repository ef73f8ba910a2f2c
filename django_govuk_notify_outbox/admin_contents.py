"""What an email says and to whom, in the admin, as far as the person who looks may see it.

Note [Who looks]
    What is personal is shown to those with a permission alone. Django's admin shows a row through methods that are not
    told for whom, so the list and the page hang the request on the rows that they show. A row without one is shown as
    to somebody without the permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_govuk_notify_outbox import masking
from django_govuk_notify_outbox.masking import Sight
from django_govuk_notify_outbox.models import EmailMessage

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[EmailMessage]
else:
    _Admin = admin.ModelAdmin


def seen_by(request: HttpRequest, email: EmailMessage) -> EmailMessage:
    """The email, to be shown to who made the request. See Note [Who looks]."""
    email.__dict__["_request"] = request
    return email


def request_of(email: EmailMessage) -> HttpRequest | None:
    """The request for which the email is shown. See Note [Who looks]."""
    return email.__dict__.get("_request")


def sight(request: HttpRequest | None) -> Sight:
    """What who made the request may see of emails."""
    return Sight(contents=request is not None and request.user.has_perm(masking.PERMISSION))


def sight_of(email: EmailMessage) -> Sight:
    """What may be seen of the email by whom it is shown to. See Note [Who looks]."""
    return sight(request_of(email))


class ContentsAdmin(_Admin):
    """The part of the admin that shows recipients and contents, or says that they are hidden."""

    @admin.display(description=_("recipient"))
    def recipient(self, email: EmailMessage) -> str:
        """The address, or what may be seen of it."""
        return sight_of(email).recipient(email)

    @admin.display(description=_("subject"))
    def subject_line(self, email: EmailMessage) -> str:
        """The subject, once it is known."""
        return sight_of(email).subject(email) or "-"

    @admin.display(description=_("personalisation"))
    def personalisation_as_json(self, email: EmailMessage) -> SafeString | str:
        """The personalisation, laid out to be read. Files are shortened."""
        return _as_json(sight_of(email).json(email.personalisation))

    @admin.display(description=_("reply-to address id"))
    def reply_to(self, email: EmailMessage) -> str:
        """The id of the address that replies go to."""
        return sight_of(email).text(email.email_reply_to_id) or "-"

    @admin.display(description=_("one-click unsubscribe URL"))
    def unsubscribe_url(self, email: EmailMessage) -> str:
        """The address that unsubscribes the recipient."""
        return sight_of(email).text(email.one_click_unsubscribe_url) or "-"

    @admin.display(description=_("sanitise content for"))
    def sanitised_for(self, email: EmailMessage) -> SafeString | str:
        """The placeholders whose contents Notify is to make harmless."""
        return _as_json(sight_of(email).json(email.sanitise_content_for))

    @admin.display(description=_("subject"))
    def listed_subject(self, email: EmailMessage) -> str:
        """The subject, once it is known, where there is little room."""
        may_see = sight_of(email).contents or not email.subject
        return (email.subject or "-") if may_see else masking.HIDDEN_SHORT


def _as_json(text: str) -> SafeString | str:
    if text in ("", masking.HIDDEN):
        return text or "-"
    return format_html('<pre class="outbox-json">{}</pre>', text)
