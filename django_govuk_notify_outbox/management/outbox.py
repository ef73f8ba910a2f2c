"""What the commands for people without a browser share: how they find an email, and how they print.

``govuk_notify_outbox_health`` is among them and is asked often, so what takes long to import is elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import unicodedata
import uuid
from abc import abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils import timezone

from django_govuk_notify_outbox import validation, wording
from django_govuk_notify_outbox.figures import Backlog
from django_govuk_notify_outbox.models import EmailMessage, digest, email_rows
from django_govuk_notify_outbox.moments import aware

# A number of this many digits may be greater than any key, and a much longer one is more than int() takes
_PK_DIGITS = 19
#: Numbers that are named where a reference stands for several emails.
_MOST_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a command has to say."""

    lines: Sequence[str]
    as_json: dict[str, Any]
    #: Whether everything asked for is so, or was done.
    is_good: bool = True


class OutboxCommand(BaseCommand):
    """A command that prints a report, as text or as JSON, and ends with exit status 1 where that is not good."""

    # They are needed most when something is wrong, a setting for example
    requires_system_checks: Any = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take ``--json``."""
        parser.add_argument("--json", action="store_true", help="print JSON instead of text")

    @abstractmethod
    def report(self, options: dict[str, Any]) -> Report:
        """Do what is asked for and say what came of it."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report."""
        try:
            report = self.report(options)
        except Error as error:
            # Not its message: it may hold the database's address and user, or a row
            raise CommandError(f"The database did not answer: {type(error).__name__}.") from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json, indent=2))
        else:
            self.stdout.write("\n".join(map(_printable, report.lines)))
        if not report.is_good:
            sys.exit(1)


def find(text: str) -> EmailMessage:
    """The email with this number, Notify id or reference. Raises CommandError if there is not exactly one.

    The text is not in the error: people try addresses.
    """
    emails = email_rows().without_contents()
    number = as_number(text)
    if number is not None and (email := emails.filter(pk=number).first()):
        return email
    notify_id = _as_uuid(text)
    if notify_id is not None and (email := emails.filter(notify_id=notify_id).first()):
        return email
    found = list(emails.filter(reference_digest=digest(text)).order_by("pk")[: _MOST_NAMED + 1])
    if not found:
        raise CommandError("No email has this number, Notify id or reference.")
    if len(found) > 1:
        numbers = ", ".join(str(email.pk) for email in found[:_MOST_NAMED])
        more = " and more" if len(found) > _MOST_NAMED else ""
        raise CommandError(f"Several emails have this reference: {numbers}{more}. Name one by its number.")
    return found[0]


def storable_text(text: str) -> str:
    """An argument that a database can be asked for. Raises ArgumentTypeError, without quoting it."""
    try:
        return validation.text("it", text, max_length=sys.maxsize)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def at_least_one(text: str) -> int:
    """An argument that is a number above 0. Raises ArgumentTypeError."""
    number = as_number(text)
    if not number:
        raise ArgumentTypeError("it must be a whole number above 0.")
    return number


def next_step(email: EmailMessage) -> str:
    """What happens next to an email, and when."""
    step = wording.next_step(email)
    if email.due_at is None:
        return step
    return f"{step}, {'overdue since ' if wording.is_overdue(email) else ''}{moment(email.due_at)}"


def moment(value: dt.datetime) -> str:
    """A moment for people: in the project's time zone, to the second."""
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return f"{local:%Y-%m-%d %H:%M:%S}"


def moment_as_json(value: dt.datetime | None) -> str | None:
    """A moment for scripts: in the world's time."""
    return None if value is None else aware(value).isoformat()


def backlog(backlog: Backlog) -> str:
    """How many emails wait for something, and for how long."""
    if not backlog.number:
        return "none"
    more = " or more" if backlog.is_more else ""
    return f"{backlog.number}{more}, the oldest for {backlog.oldest or 0:.0f} seconds"


def as_number(text: str) -> int | None:
    """The number that a text is, unless it is greater than any key; else None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _PK_DIGITS else None


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _printable(line: str) -> str:
    """The line as one line, without what would steer a terminal: texts are other people's."""
    return "".join(map(_printable_character, line))


def _printable_character(character: str) -> str:
    if unicodedata.category(character) not in _NOT_PRINTED:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


_NOT_PRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
