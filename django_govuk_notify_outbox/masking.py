"""What of an email somebody may see: everything, or only what says nothing about its recipient.

Everything that shows emails to people shows them through a ``Sight``, so that there is one list of what is personal.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent

#: What lets a person see everything.
PERMISSION = f"{EmailMessage._meta.app_label}.view_emailmessage_contents"  # noqa: SLF001  # a public API of Django's

HIDDEN = "Hidden: you need the permission “Can see recipients and contents of emails”"
#: The same, where there is little room.
HIDDEN_SHORT = "Hidden"

# Notify quotes the email, such as its address, when it refuses it
_MAY_QUOTE = {400, 413, 422}
# What it says most often quotes the template alone. Several messages of its come in one, with "; " between them
_QUOTES_NOTHING = "Missing personalisation: "
_BETWEEN = "; "

_LONGEST_TEXT = 2000

# What may come after it is somebody's text: people type their names and numbers into the field too
_LABEL = re.compile(r"[A-Za-z]{2,12}")


@dataclass(frozen=True)
class Sight:
    """What somebody sees of emails."""

    #: Whether they may see recipients and contents.
    contents: bool

    def recipient(self, email: EmailMessage) -> str:
        """The address, or as much of it as tells one of a few apart without saying who it is."""
        return email.email_address if self.contents else masked(email.email_address)

    def subject(self, email: EmailMessage) -> str:
        """The subject, blank where it is not known."""
        return self.text(email.subject)

    def text(self, text: str) -> str:
        """A text of the email, blank where there is none."""
        return text if self.contents or not text else HIDDEN

    def json(self, value: Any) -> str:
        """A value of the email, laid out to be read, with long texts shortened; blank where there is none."""
        if value is None or value == "":
            return ""
        return json.dumps(_shortened(value), indent=2, ensure_ascii=False) if self.contents else HIDDEN

    def message(self, event: EmailMessageEvent) -> str:
        """What Notify answered, blank where it said nothing."""
        return event.message if not event.message or self.may_see_message(event) else HIDDEN

    def may_see_message(self, event: EmailMessageEvent) -> bool:
        """Whether what Notify answered can be shown: it may quote the email."""
        quotes_nothing = event.message.startswith(_QUOTES_NOTHING) and _BETWEEN not in event.message
        return self.contents or event.http_status not in _MAY_QUOTE or quotes_nothing


def masked(email_address: str) -> str:
    """An address of which the first letters of both parts and the last label are left: a•••@e•••.com."""
    local, _, domain = email_address.strip().rpartition("@")
    if not local:
        # Not an address
        return f"{domain[:1]}•••"
    _, dot, label = domain.rpartition(".")
    return f"{local[:1]}•••@{domain[:1]}•••" + (f".{label}" if dot and _LABEL.fullmatch(label) else "")


def _shortened(value: Any) -> Any:
    """The value without the bulk of long texts in it, such as files, which are many screens of base64."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    return value
