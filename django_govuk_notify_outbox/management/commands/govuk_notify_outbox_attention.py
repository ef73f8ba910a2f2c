"""``manage.py govuk_notify_outbox_attention``: the emails that somebody should look at."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.management import outbox
from django_govuk_notify_outbox.management.outbox import OutboxCommand, Report
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, email_rows
from django_govuk_notify_outbox.states import parts_that_need_attention

_HEAD = ("Email", "Status", "Created", "Attempts", "Last error", "Next step")


class Command(OutboxCommand):
    """One line for each email, without anything personal."""

    help = "List the emails that need attention: those that failed in the last 7 days, and those overdue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how many to list."""
        super().add_arguments(parser)
        meaning = "list so many at most, the newest (default: 50)"
        parser.add_argument("--limit", type=outbox.at_least_one, default=50, metavar="NUMBER", help=meaning)

    def report(self, options: dict[str, Any]) -> Report:
        """List them, the newest first."""
        limit = options["limit"]
        errors = EmailMessageEvent.objects.filter(email_message=OuterRef("pk")).exclude(exception="")
        found = email_rows().first_of(parts_that_need_attention(), limit + 1)
        newest = found.without_contents().order_by("-created_at", "-pk")
        emails: list[Any] = list(newest.annotate(error=Subquery(errors.order_by("-pk").values("pk")[:1]))[: limit + 1])
        listed = emails[:limit]
        events = EmailMessageEvent.objects.using(newest.db).in_bulk([each.error for each in listed if each.error])
        errors_of = {each.pk: _error(events.get(each.error)) for each in listed}
        return Report(
            lines=_lines(listed, errors_of, is_more=len(emails) > limit),
            as_json={
                "emails": [_as_json(email, errors_of[email.pk]) for email in listed],
                "more": len(emails) > limit,
            },
        )


def _error(event: EmailMessageEvent | None) -> str:
    """What kind of error an event tells of, in a word or two."""
    if event is None:
        return ""
    if event.error_type or event.http_status:
        return event.error_type or f"HTTP {event.http_status}"
    # What the client raises when there was no answer is named after an answer that never was
    module, _, name = event.exception.rpartition(".")
    return "no answer" if module.startswith("notifications_python_client") else name


def _as_json(email: EmailMessage, error: str) -> dict[str, Any]:
    return {
        "pk": email.pk,
        "status": email.status,
        "created_at": outbox.moment_as_json(email.created_at),
        "attempts": email.attempts,
        "last_error": error,
        "next_step": wording.next_step(email),
        "due_at": outbox.moment_as_json(email.due_at),
        "overdue": wording.is_overdue(email),
    }


def _lines(emails: Sequence[EmailMessage], errors: dict[int, str], *, is_more: bool) -> list[str]:
    if not emails:
        return ["No email needs attention."]
    rows = [
        _HEAD,
        *(
            (
                str(email.pk),
                email.status,
                outbox.moment(email.created_at),
                str(email.attempts),
                errors[email.pk] or "-",
                outbox.next_step(email),
            )
            for email in emails
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    number = "One email needs" if len(emails) == 1 else f"{len(emails)} emails need"
    end = f"These are the newest {len(emails)}; there are more." if is_more else f"{number} attention."
    return [*table, "", f"{end} Times are those of {timezone.get_current_timezone_name()}."]
