"""The emails' stories, line by line as they happen, and the table at their end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from demo.scenario import CASES, ROLLED_BACK, Case
from django_govuk_notify_outbox import wording
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent
from example.terminal import Terminal

Status = EmailMessage.Status

_COLOURS: dict[str, str] = {
    Status.SENDING_TO_NOTIFY: "blue",
    Status.RETRYING_SEND_TO_NOTIFY: "yellow",
    Status.FAILED_SEND_TO_NOTIFY: "red",
    Status.SENT_TO_NOTIFY: "cyan",
    Status.NOTIFY_CREATED: "cyan",
    Status.NOTIFY_SENDING: "cyan",
    Status.NOTIFY_DELIVERED: "green",
    Status.NOTIFY_TEMPORARY_FAILURE: "magenta",
    Status.NOTIFY_TECHNICAL_FAILURE: "magenta",
    Status.NOTIFY_PERMANENT_FAILURE: "red",
}
_LABEL_WIDTH = max(len(label) for label in (ROLLED_BACK, *(case.label for case in CASES)))
_STATUS_WIDTH = max(len(status) for status in Status.values)
_PREFIX_WIDTH = len("  0.00 s  ") + _LABEL_WIDTH + 2 + _STATUS_WIDTH + 2


class Timeline:
    """Prints each event of some emails once."""

    def __init__(self, terminal: Terminal, cases: Mapping[int, Case], started: dt.datetime) -> None:
        self._terminal = terminal
        self._cases = cases
        self._started = started
        self._seen: set[int] = set()

    def saved(self, email: EmailMessage) -> None:
        """Tell that an email has been saved."""
        self._line(email.created_at, self._cases[email.pk].label, email.status, "Saved, to be sent after the commit.")

    def rolled_back(self, at: dt.datetime) -> None:
        """Tell of the email that there is not."""
        self._line(at, ROLLED_BACK, "", "Its transaction failed: no row, and nothing to send.")

    def show_news(self) -> None:
        """Print what has happened since the last call."""
        # Not "id above the last one seen": of two transactions, the one with the lower id may commit later
        for event in EmailMessageEvent.objects.filter(email_message__in=list(self._cases)).exclude(pk__in=self._seen):
            self._seen.add(event.pk)
            label = self._cases[event.email_message_id].label
            self._line(event.created_at, label, event.status, wording.describe(event))

    def _line(self, at: dt.datetime, label: str, status: str, text: str) -> None:
        terminal = self._terminal
        seconds = terminal.paint(f"{(at - self._started).total_seconds():6.2f} s", "dim")
        shown = terminal.paint(status.ljust(_STATUS_WIDTH), _COLOURS.get(status, "dim"))
        terminal.wrapped(f"{seconds}  {label.ljust(_LABEL_WIDTH)}  {shown}  ", _PREFIX_WIDTH, text)


def show_table(terminal: Terminal, cases: Mapping[int, Case], *, rolled_back_exists: bool) -> None:
    """Print what became of each email beside what should have."""
    emails = EmailMessage.objects.in_bulk(list(cases))
    rows = [("Email", "Expected", "Seen", "Attempts", "Seconds", "Verdict")]
    fine = []
    for pk, case in cases.items():
        email = emails[pk]
        fine.append(email.status == case.expected)
        end = email.events.last()
        seconds = f"{(end.created_at - email.created_at).total_seconds():.1f}" if end and email.is_final else "-"
        rows.append((case.label, case.expected, email.status, str(email.attempts), seconds, _verdict(fine[-1])))
    fine.append(not rolled_back_exists)
    rows.append((ROLLED_BACK, "nothing", "sent" if rolled_back_exists else "nothing", "-", "-", _verdict(fine[-1])))
    terminal.table(rows, right=(3, 4), colours=["green" if one else "red" for one in fine])


def _verdict(fine: bool) -> str:  # noqa: FBT001 - that is what it puts into words
    return "as expected" if fine else "NOT AS EXPECTED"
