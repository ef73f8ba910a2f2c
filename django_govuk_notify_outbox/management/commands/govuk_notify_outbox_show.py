"""``manage.py govuk_notify_outbox_show``: what happened to one email."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from django_govuk_notify_outbox import timeline, wording
from django_govuk_notify_outbox.management import outbox
from django_govuk_notify_outbox.management.outbox import OutboxCommand, Report
from django_govuk_notify_outbox.masking import Sight
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from django_govuk_notify_outbox.timeline import Entry


class Command(OutboxCommand):
    """The email's story, in order, and without anything personal unless that is asked for."""

    help = "Show what happened to one email, and what happens next. Nothing personal is shown without --contents."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which email it is, and whether to show what it says."""
        super().add_arguments(parser)
        meaning = "number, Notify id or reference of the email"
        parser.add_argument("email", type=outbox.storable_text, metavar="PK", help=meaning)
        meaning = "show the recipient, what the email says, and all of Notify's error messages too"
        parser.add_argument("--contents", action="store_true", help=meaning)

    def report(self, options: dict[str, Any]) -> Report:
        """Tell the email's story."""
        email, sight = outbox.find(options["email"]), Sight(contents=options["contents"])
        story = timeline.entries(email, sight)
        return Report(
            lines=[*_facts(email, sight), "", *_story(email, sight, story)],
            as_json=_as_json(email, sight, story),
        )


def _facts(email: EmailMessage, sight: Sight) -> Iterator[str]:
    yield f"Email {email.pk}: {email.status}"
    yield ""
    facts = {
        "Recipient": sight.recipient(email),
        "Template": email.template_id,
        "Reference": email.reference,
        "Notify id": email.notify_id or "-",
        "Attempts": email.attempts,
        "Next step": outbox.next_step(email),
    }
    if sight.contents:
        facts |= {
            "Subject": email.subject or "-",
            "Reply-to": email.email_reply_to_id or "-",
            "Unsubscribe": email.one_click_unsubscribe_url or "-",
        }
    for name, value in facts.items():
        yield f"{name + ':':13}{value}"
    if sight.contents:
        for name, value in (("Personalisation", email.personalisation), ("Sanitise", email.sanitise_content_for)):
            if value:
                yield from [f"{name}:", *sight.json(value).splitlines()]


def _story(email: EmailMessage, sight: Sight, story: Sequence[Entry]) -> Iterator[str]:
    yield f"{outbox.moment(email.created_at)}  Created."
    for entry in story:
        if entry.left_out:
            yield f"… {entry.left_out} more …"
        yield f"{outbox.moment(entry.event.created_at)}  {entry.sentence}{_details(entry.event)}"
    yield ""
    yield f"Times are those of {timezone.get_current_timezone_name()}."
    if any(_is_shortened(entry.event, sight) for entry in story):
        yield "Messages of Notify's that may quote the email are left out: --contents shows them."


def _details(event: EmailMessageEvent) -> str:
    details = []
    if event.http_status:
        details.append(f"HTTP {event.http_status} {event.error_type}".rstrip())
    elif event.exception:
        details.append("no answer")
    if event.duration:
        details.append(f"{event.duration:.2f} seconds")
    if event.status != event.previous_status:
        details.append(f"status {event.status}")
    return f" ({', '.join(details)})" if details else ""


def _is_shortened(event: EmailMessageEvent, sight: Sight) -> bool:
    """Whether an event is told without its message."""
    return bool(event.message) and not sight.may_see_message(event)


def _as_json(email: EmailMessage, sight: Sight, story: Sequence[Entry]) -> dict[str, Any]:
    told = {
        "pk": email.pk,
        "status": email.status,
        "recipient": sight.recipient(email),
        "template_id": email.template_id,
        "reference": email.reference,
        "notify_id": str(email.notify_id) if email.notify_id else None,
        "attempts": email.attempts,
        "stopped": email.is_stopped,
        "created_at": outbox.moment_as_json(email.created_at),
        "requested_at": outbox.moment_as_json(email.requested_at),
        "sent_at": outbox.moment_as_json(email.sent_at),
        "status_changed_at": outbox.moment_as_json(email.status_changed_at),
        "next_step": wording.next_step(email),
        "due_at": outbox.moment_as_json(email.due_at),
        "overdue": wording.is_overdue(email),
        "events": [_entry_as_json(entry, sight) for entry in story],
    }
    if sight.contents:
        told |= {
            "email_reply_to_id": email.email_reply_to_id,
            "subject": email.subject,
            "personalisation": email.personalisation,
            "one_click_unsubscribe_url": email.one_click_unsubscribe_url,
            "sanitise_content_for": email.sanitise_content_for,
        }
    return told


def _entry_as_json(entry: Entry, sight: Sight) -> dict[str, Any]:
    event = entry.event
    told = {
        "at": outbox.moment_as_json(event.created_at),
        "text": entry.sentence,
        "message_left_out": _is_shortened(event, sight),
        "kind": event.kind,
        "outcome": event.outcome,
        "previous_status": event.previous_status,
        "status": event.status,
        "source": event.source,
        "person": event.person,
        "notify_status": event.notify_status,
        "attempt": event.attempt,
        "http_status": event.http_status,
        "error_type": event.error_type,
        "exception": event.exception,
        "seconds": None if event.duration is None else round(event.duration, 3),
    }
    # A traceback ends with the message
    return told | {"traceback": event.traceback} if sight.contents else told
